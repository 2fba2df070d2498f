"""A repository of backups, kept by restic: encrypted, incremental by content, in a folder or an object store."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cataract.core.errors import DomainError

_TAG = "cataract"


class BackupFailed(DomainError):
    """A backup could not be made, read or restored; the text says why and what to do."""

    code, status = "backup_failed", 503


@dataclass(frozen=True)
class Repository:
    """Where backups lie: a folder, or an address that restic knows, such as `s3:https://host/bucket`.

    The password opens it: whoever loses it loses every backup. It goes to restic in the environment, not in its argv.
    """

    place: str
    password: str

    def make_if_missing(self) -> None:
        """Create the repository in an empty or a new place. Raises BackupFailed, also for a wrong password."""
        if self._run("cat", "config", check=False).returncode != 0:
            self._run("init")

    def store(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Back up files and folders of `folder`; only what is new is copied. Returns restic's summary."""
        done = self._run("backup", "--json", f"--tag={_TAG}", "--exclude=.*", *names, folder=folder)
        return next(line for line in _lines(done.stdout) if line.get("message_type") == "summary")

    def verify(self, *, share: str) -> None:
        """Read this share ("5%", "100%") of the stored bytes and the whole index. Raises BackupFailed on damage."""
        self._run("check", f"--read-data-subset={share}")

    def forget(self, keep: Mapping[str, int]) -> None:
        """Delete backups but the last three and those of `keep`: {"daily": 7, "weekly": 5, "monthly": 12}."""
        kept = [f"--keep-{name}={number}" for name, number in keep.items() if number]
        self._run("forget", "--prune", f"--tag={_TAG}", "--group-by=tags", "--keep-last=3", *kept)

    def snapshots(self) -> list[dict[str, Any]]:
        """The backups, oldest first, each with `short_id` and `time`."""
        found: list[dict[str, Any]] = json.loads(self._run("snapshots", "--json", f"--tag={_TAG}").stdout)
        return sorted(found, key=lambda snapshot: str(snapshot["time"]))

    def restore(self, snapshot: str, folder: Path) -> None:
        """Write the files of a backup below `folder`. Raises BackupFailed when one differs from what was stored."""
        self._run("restore", snapshot, f"--target={folder}", "--verify")

    def _run(self, *words: str, folder: Path | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
        program = shutil.which("restic")
        if program is None:
            raise BackupFailed("restic is not installed. Install it (Debian: apt install restic) and try again.")
        environment = {**os.environ, "RESTIC_REPOSITORY": self.place, "RESTIC_PASSWORD": self.password}
        done = subprocess.run(
            [program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise BackupFailed(f"restic {words[0]} failed: {said[-1] if said else 'it says nothing'}")
        return done


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
