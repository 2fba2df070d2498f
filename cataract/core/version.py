"""Which code this is."""

import functools
import subprocess

from django.conf import settings


@functools.cache
def code_commit() -> str:
    """The commit of the running code, "+changes" behind it where a checkout differs from it; "" when unknown.

    From CODE_COMMIT, which a container image sets when it is built, else from the checkout.
    """
    if settings.CODE_COMMIT:
        return str(settings.CODE_COMMIT)
    commit = _git("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(settings.BASE_DIR), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
