"""The change-control plan (`rules.toml`), read once: what the gates and the datasets go by."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("rules.toml")


@cache
def rules() -> dict[str, Any]:
    """The whole plan as nested dicts, in the structure of the file."""
    with PATH.open("rb") as file:
        return tomllib.load(file)
