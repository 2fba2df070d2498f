"""Keyboard shortcuts of the reading page: the defaults, and the ones a user changed or switched off."""

from dataclasses import dataclass

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
    "take_ai": Key("a", "Take the AI's answer"),
    "undo": Key("z", "Undo my last answer"),
    "skip": Key("n", "Skip"),
    "start": Key("s", "Start, next case"),
    "visits": Key("e", "Other photos of this patient"),
    "heat": Key("h", "Where the AI looked"),
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


def save_keys(*, user: User, keys: dict[str, str]) -> None:
    """Store the keys that differ from the defaults. Raises ValueError when one key has two actions."""
    used = [key for key in keys.values() if key]
    if len(set(used)) < len(used):
        raise ValueError("One key cannot have two actions.")
    changed = {action: key for action, key in keys.items() if action in KEYS and key != KEYS[action].default}
    ReviewerSettings.objects.update_or_create(user=user, defaults={"keys": changed})
