"""Checkpoints of a training, from which the next attempt resumes after a kill: plain files, no pickle.

A checkpoint answers one question (data, base release, seed, options). For another question it starts empty.
"""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.release.manifest import write_json

_FORMAT = 2  # increment it when the stored content changes: old checkpoints are discarded

Arrays = dict[str, NDArray[Any]]


class Checkpoint:
    """A folder that keeps the results of finished steps. Without a folder it keeps nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @classmethod
    def of(cls, folder: Path | None, question: Mapping[str, Any]) -> "Checkpoint":
        """The checkpoint in `folder` for this `question` (JSON values). Files of another question are removed."""
        if folder is None:
            return cls()
        text = json.dumps([_FORMAT, question], sort_keys=True)
        digest = {"question": hashlib.sha256(text.encode()).hexdigest()}
        if _read_json(folder / "question.json") != digest:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(folder / "question.json", digest)
        return cls(folder)

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays saved under `name`, computed and saved when there are none."""
        path = self._path(f"{name}.npz")
        arrays = load_arrays(path) if path else None
        if arrays is None:
            arrays = compute()
            if path:
                save_arrays(path, arrays)
        return arrays

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """A folder for large files. Without a checkpoint's folder it is removed after the block."""
        if self._folder is None:
            with TemporaryDirectory() as temporary:
                yield Path(temporary)
        else:
            folder = self._folder / name
            folder.mkdir(exist_ok=True)
            yield folder

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The values that `append` saved under `name`, in order. A line that a kill cut short is skipped."""
        path = self._path(f"{name}.jsonl")
        text = path.read_text(encoding="utf-8") if path and path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def append(self, name: str, value: Mapping[str, Any]) -> None:
        path = self._path(f"{name}.jsonl")
        if path:
            whole = "".join(json.dumps(line) + "\n" for line in [*self.lines(name), dict(value)])
            _replace(path, lambda file: file.write_text(whole, encoding="utf-8"))

    def save_state(self, name: str, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Save tensors (safetensors) and facts (JSON) together, replacing earlier ones of that name."""
        from safetensors.numpy import save_file

        path = self._path(f"{name}.safetensors")
        if path:
            whole = {key: np.asarray(value, order="C") for key, value in tensors.items()}
            _replace(path, lambda file: save_file(whole, file, metadata={"facts": json.dumps(facts)}))

    def load_state(self, name: str) -> tuple[Arrays, dict[str, Any]] | None:
        """Tensors and facts of the last `save_state`; None when there are none, or they are damaged."""
        from safetensors import SafetensorError, safe_open

        path = self._path(f"{name}.safetensors")
        if path is None or not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, name: str) -> Path | None:
        return self._folder / name if self._folder else None


def load_arrays(path: Path) -> Arrays | None:
    """The arrays of an .npz file; None when it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile):
        return None


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write an .npz file atomically."""

    def write(file: Path) -> None:
        with file.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub reads every name as an option

    _replace(path, write)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary)
    temporary.replace(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
