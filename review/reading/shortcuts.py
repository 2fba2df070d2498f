"""The keys of the reading page: the usual ones, and those that a person changed or switched off."""

from dataclasses import dataclass

from django.contrib.auth.models import User

from review.cases.models import ReviewerSettings


@dataclass(frozen=True)
class Key:
    usual: str
    words: str


KEYS = {
    "cataract": Key("1", "Cataract"),
    "normal": Key("2", "No cataract"),
    "ungradable": Key("u", "Cannot judge"),
    "other": Key("o", "Other pathology"),
    "not_an_eye": Key("x", "Not an eye"),
    "take_ai": Key("a", "Take the AI's answer"),
    "undo": Key("z", "Take back my last answer"),
    "skip": Key("n", "Skip"),
    "start": Key("s", "Start, next case"),
    "visits": Key("e", "Other photos of this patient"),
    "heat": Key("h", "Where the AI looked"),
    "larger": Key("+", "Larger"),
    "smaller": Key("-", "Smaller"),
    "fit": Key("0", "Fit, and no filters"),
    "one": Key("=", "One to one"),
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
    """Action to key for this person; "" where the key is switched off."""
    changed = ReviewerSettings.objects.filter(user=user).values_list("keys", flat=True).first() or {}
    return {action: changed.get(action, key.usual) for action, key in KEYS.items()}


def save_keys(*, user: User, keys: dict[str, str]) -> None:
    """Keep what differs from the usual keys; one key never does two things (ValueError)."""
    used = [key for key in keys.values() if key]
    if len(set(used)) < len(used):
        raise ValueError("One key cannot do two things.")
    changed = {action: key for action, key in keys.items() if action in KEYS and key != KEYS[action].usual}
    ReviewerSettings.objects.update_or_create(user=user, defaults={"keys": changed})
