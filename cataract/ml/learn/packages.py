"""Which training packages are installed; looking for one does not import it."""

import importlib.util


def has_torch() -> bool:
    """Whether torch is installed; it is not in a light installation."""
    return importlib.util.find_spec("torch") is not None


def has_open_clip() -> bool:
    """Whether open_clip is installed, which makes the towers of an architecture."""
    return importlib.util.find_spec("open_clip") is not None


def has_cleanlab() -> bool:
    """Whether cleanlab is installed, which finds labels that are probably wrong."""
    return importlib.util.find_spec("cleanlab") is not None
