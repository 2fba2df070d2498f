"""The answers a person may give about a photo, with their names on pages, and when they contradict the AI."""

from collections.abc import Collection

from django.db import models

from cataract.ml.labels import Decision, Reason


class Answer(models.TextChoices):
    CATARACT = "cataract", "Cataract"
    NORMAL = "normal", "No cataract"
    UNGRADABLE = "ungradable", "Cannot judge"
    OTHER = "other", "Other pathology"
    NOT_AN_EYE = "not_an_eye", "Not an eye"


class Grade(models.TextChoices):
    IMMATURE = "immature", "Immature"
    MATURE = "mature", "Mature"


class Confidence(models.TextChoices):
    SURE = "sure", "Sure"
    FAIRLY = "fairly", "Fairly sure"
    UNSURE = "unsure", "Unsure"


class UngradableBecause(models.TextChoices):
    BLUR = "blur", "Blurred"
    DARK = "dark", "Too dark"
    GLARE = "glare", "Glare or flash on the pupil"
    LID = "lid", "Lid or lashes cover the pupil"
    VIEW = "view", "Wrong view"


class OtherPathology(models.TextChoices):
    PTERYGIUM = "pterygium", "Pterygium"
    CORNEAL_OPACITY = "corneal_opacity", "Corneal opacity"
    IMPLANT = "implant", "Artificial lens"
    INFLAMMATION = "inflammation", "Red or inflamed eye"
    OTHER = "other", "Something else"


AGREES_WITH: dict[str, set[Answer]] = {
    Decision.CATARACT: {Answer.CATARACT},
    Decision.NORMAL: {Answer.NORMAL},
    # The AI has one answer for everything it cannot judge, people have three.
    Decision.UNGRADABLE: {Answer.UNGRADABLE, Answer.OTHER, Answer.NOT_AN_EYE},
}


def contradicts(answer: str, decision: str, reasons: Collection[str] = ()) -> bool:
    """Whether a person's answer contradicts the AI's decision; without a decision it never does.

    `reasons`: those of the prediction. A "normal" with `other_finding` says that no cataract but something else may be
    visible, so "other pathology" confirms it.
    """
    if not decision:
        return False
    confirms = answer == Answer.OTHER and decision == Decision.NORMAL and Reason.OTHER_FINDING in reasons
    return not confirms and answer not in AGREES_WITH[decision]
