"""The classes of the models, and the codes of a cascade's answer.

Members are strings: they are stored, sent and compared as their values. Sentences for people belong to the web.
"""

from collections.abc import Collection
from enum import StrEnum


class Decision(StrEnum):
    """What the cascade answers. `ungradable` is an answer of its own, never a class of the models."""

    CATARACT = "cataract"
    NORMAL = "normal"
    UNGRADABLE = "ungradable"


NORMAL = Decision.NORMAL.value
CATARACT = Decision.CATARACT.value

CLASSES = (NORMAL, CATARACT)  # in the order of the models' outputs


class Reason(StrEnum):
    """Why a clinician reads a photo."""

    # Found by the cascade.

    UNCERTAIN = "uncertain"
    DISAGREEMENT = "disagreement"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    QUALITY = "quality"
    OTHER_FINDING = "other_finding"  # another condition may be visible; graded for cataract all the same
    NO_COLOUR = "no_colour"  # black and white or near infrared; graded all the same
    UNGRADABLE = "ungradable"
    INVALID_SCORE = "invalid_score"
    # Found where predictions are stored.
    ALWAYS_READ = "always_read"
    AUDIT_SAMPLE = "audit_sample"
    NOT_ACCEPTED = "not_accepted"
    NO_CHAMPION = "no_champion"
    AI_OFF = "ai_off"
    FAILED = "failed"
    # Asked for later.
    REQUESTED = "requested"
    SUSPECTED_LABEL = "suspected_label"
    LOOK_BACK = "look_back"


# The reasons of an answer that the release was sure of, and that a person reads because of a random draw alone.
RANDOM_CHECKS: tuple[list[str], ...] = ([Reason.AUDIT_SAMPLE], [Reason.ALWAYS_READ])
# Reasons that are no doubt of the release: it was sure, and a person reads the photo all the same.
ADDED_TO_SURE = frozenset({Reason.AUDIT_SAMPLE.value, Reason.ALWAYS_READ.value, Reason.NOT_ACCEPTED.value})


def is_sure(needs_review: bool, reasons: Collection[str]) -> bool:
    """Whether the release itself asked for no person."""
    return not needs_review or (bool(reasons) and ADDED_TO_SURE.issuperset(reasons))


class Advice(StrEnum):
    """What the gate found wrong with a photo that cannot be judged; the page says how to take it again."""

    NONE = ""
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLANK = "blank"
    BLURRED = "blurred"
    NO_EYE_FOUND = "no_eye_found"


class Route(StrEnum):
    """How far a photo came in the cascade: refused by the gate, or which models were asked."""

    GATE = "gate"
    FAST = "fast"
    ACCURATE = "accurate"
    BOTH = "fast+accurate"


class Mode(StrEnum):
    """Which models run: the accurate one only where the fast one is unsure, one of them, or always both."""

    CASCADE = "cascade"
    FAST = "fast"
    ACCURATE = "accurate"
    ALWAYS = "always"
