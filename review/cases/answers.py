"""The answers a reader may give, with their names on pages."""

from django.db import models


class Answer(models.TextChoices):
    CATARACT = "cataract", "Cataract"
    NORMAL = "normal", "No cataract"
    UNGRADABLE = "ungradable", "Cannot judge"
    OTHER = "other", "Other pathology"
    NOT_AN_EYE = "not_an_eye", "Not an eye"


class Grade(models.TextChoices):
    IMMATURE = "immature", "Immature"
    MATURE = "mature", "Mature"


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


VIEWER_KEYS = frozenset({"zoom", "brightness", "contrast", "redfree", "invert"})  # stored with a reading
