"""Keyboard shortcuts of the reading page, the defaults and a user's own, and the filters that a user keeps."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from review.cases.models import ReviewerSettings


@dataclass(frozen=True)
class Key:
    default: str
    label: str


KEYS = {
    "cataract": Key("1", "Cataract"),
    "normal": Key("2", "No cataract"),
    "ungradable": Key("u", "Cannot judge"),
    "other": Key("o", "Other pathology"),
    "not_an_eye": Key("x", "Not an eye"),
    "sure": Key("j", "Sure"),
    "fairly": Key("k", "Fairly sure"),
    "unsure": Key("l", "Unsure"),
    "grade": Key("g", "Next grade"),
    "which": Key("w", "Details, or why"),
    "note": Key("t", "Note"),
    "take_ai": Key("a", "Take the AI's answer"),
    "undo": Key("z", "Undo my last answer"),
    "skip": Key("n", "Skip"),
    "start": Key("s", "Start, next case"),
    "ask": Key("q", "Ask, escalate or flag"),
    "visits": Key("e", "Other photos of this patient"),
    "beside": Key("c", "Compare side by side"),
    "heat": Key("h", "Where the AI looked"),
    "pupil": Key("p", "Zoom to the pupil"),
    "larger": Key("+", "Larger"),
    "smaller": Key("-", "Smaller"),
    "fit": Key("0", "Fit and reset"),
    "one": Key("=", "Actual pixels (1:1)"),
    "four": Key("4", "Four times"),
    "darker": Key(",", "Darker"),
    "brighter": Key(".", "Brighter"),
    "flatter": Key("[", "Less contrast"),
    "steeper": Key("]", "More contrast"),
    "redfree": Key("r", "Red-free"),
    "invert": Key("i", "Invert"),
    "help": Key("?", "Show these keys"),
}


def keys_of(user: User) -> dict[str, str]:
    """Key by action for this user; "" where the key is switched off."""
    changed = ReviewerSettings.objects.filter(user=user).values_list("keys", flat=True).first() or {}
    return {action: changed.get(action, key.default) for action, key in KEYS.items()}


VIEW = ("pupil", "brightness", "contrast", "redfree", "invert")  # what a user may keep from case to case


def view_of(user: User) -> dict[str, Any]:
    """The filters with which each case of this user starts; {} where none are kept."""
    return ReviewerSettings.objects.filter(user=user).values_list("view", flat=True).first() or {}


def save_view(*, user: User, view: dict[str, Any]) -> None:
    """Keep these filters for this user's next cases; {} keeps none."""
    ReviewerSettings.objects.update_or_create(user=user, defaults={"view": view or None})


def save_keys(*, user: User, keys: dict[str, str]) -> None:
    """Store the keys that differ from the defaults. Raises ValueError when one key has two actions."""
    used = [key for key in keys.values() if key]
    if len(set(used)) < len(used):
        raise ValueError("One key cannot have two actions.")
    changed = {action: key for action, key in keys.items() if action in KEYS and key != KEYS[action].default}
    ReviewerSettings.objects.update_or_create(user=user, defaults={"keys": changed})
