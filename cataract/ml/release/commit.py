"""Which code this is: the commit that builds a release, trains a run, or makes a container image."""

import functools
import subprocess
from pathlib import Path

# A container image has no checkout: its build writes the commit here.
_FILE = Path(__file__).resolve().parents[2] / "commit.txt"


@functools.cache
def code_commit() -> str:
    """The commit of the running code, with "+changes" where a checkout differs from it; "" when unknown."""
    if _FILE.is_file():
        return _FILE.read_text(encoding="utf-8").strip()
    commit = _git("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_FILE.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
