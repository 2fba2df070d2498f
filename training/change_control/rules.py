"""The change-control plan (`rules.toml`): margins and minimums for the release gates and datasets."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("rules.toml")


@cache
def rules() -> dict[str, Any]:
    """The plan as nested dicts, in the structure of the file; read once."""
    with PATH.open("rb") as file:
        return tomllib.load(file)
