"""The release folder: write it (manifest last), verify it (before anything is parsed), read it.

A release is one folder of plain files, no pickle. Text files are UTF-8; numbers in JSON are finite.

Required, read by inference:

trunk.onnx        input "pixels" (N, 3, S, S) float32, normalised RGB -> output "activations" (any shape, first axis N)
embed.onnx        input "activations" -> output "embedding" (N, E) float32, each row of L2 norm 1
accurate.onnx     input "activations" -> output "logit" (N,) float32, positive means cataract
                  First axis dynamic in all three, no external data. An accepted int8 variant replaces the file.
fast.txt          LightGBM model text (binary objective); feature count == manifest encoder.dim
calibration.json  {"fast": C, "accurate": C}, where C is one of (module `calibration`)
                    {"kind": "temperature", "temperature": T}
                    {"kind": "platt", "slope": a, "intercept": b}
                    {"kind": "isotonic", "x": [raw scores, increasing], "y": [probabilities]}
gate.json         {"quality": {...}, "ood": {...}, "eye": {...}}; made by `learn.eyecheck` (keys: module `gate`)
policy.json       {"version", "fast_band": {"low", "high"}, "auto": {"normal_below", "cataract_above"},
                   "disagreement_margin", "accurate_weight", "target_error", "confidence", "coverage", "bound", "n"}
                  (meaning and defaults: module `policy`)
golden.json       {"tolerance": t, "cases": [{"name", "png": base64 of a PNG, "expect": {"decision", "fast_score",
                   "accurate_score", "probability"}}]}; made by module `golden`, numbers may be null

Optional, never read by inference:

encoder.safetensors, open_clip.json   the tower's weights and its open_clip model config, to train from
seen.json         {"hashes": [16 hex digits, ...]}: perceptual hashes of the photos it was fitted on
metrics.json      what was measured when the release was built
card.md           the model card

manifest.json, written last:

{"format": 1,
 "id": "<name>-<first 8 hex digits of the content hash>",
 "name": "starter",
 "created_at": "2026-01-31T12:00:00+00:00",
 "code_commit": "", "base": "" (id of the release whose encoder was taken over),
 "encoder": {"name", "arch", "hash", "image_size": S, "mean": [3], "std": [3],
             "resize_mode": "squash" | "shortest" | "longest" (open_clip's words),
             "views": [some of "full", "centre", "pupil"], "handmade": bool,
             "embedding_dim": E, "dim": D = E * len(views) (+ features.LENGTH when handmade)},
 "accurate": {"views": [subset of encoder.views], "flip": bool (average with the mirrored view)},
 "quantisation": {"trunk.onnx": "fp32" | "int8", ..., "decision": what 8-bit weights did to the answers, in words},
 "files": {"trunk.onnx": {"sha256", "size"}, ... every file of the folder but manifest.json},
 "policy": copy of policy.json, "metrics": {...}, "data": {...}}
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cataract.ml.encoding.encoder import VIEWS_VERSION

FORMAT = 1
MANIFEST = "manifest.json"
REQUIRED = (
    "trunk.onnx",
    "embed.onnx",
    "accurate.onnx",
    "fast.txt",
    "calibration.json",
    "gate.json",
    "policy.json",
    "golden.json",
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MAX_MANIFEST_BYTES = 4_000_000


class ReleaseCorrupt(Exception):
    """The folder is not an intact release; the message says what is wrong and is meant for a person."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says. `raw` is the whole JSON object, `sha256` the digest of the manifest file."""

    id: str
    format: int
    created_at: str
    encoder: dict[str, Any]
    accurate: dict[str, Any]
    files: dict[str, dict[str, Any]]
    policy: dict[str, Any]
    metrics: dict[str, Any]
    data: dict[str, Any]
    code_commit: str
    raw: dict[str, Any]
    sha256: str


def verify(folder: Path, *, sha256: str = "") -> Manifest:
    """The manifest of an intact release: every file is there with the stated size and SHA-256, and nothing was parsed.

    `sha256`: the digest the manifest file must have (the one on record), when it is known.
    Raises ReleaseCorrupt.
    """
    manifest = read_manifest(folder)
    if sha256 and manifest.sha256 != sha256:
        raise ReleaseCorrupt(f"{folder.name}: the manifest is not the one on record. Restore the release folder.")
    for name, stated in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise ReleaseCorrupt(f"{folder.name}: {name} is missing. Restore the release folder.")
        if path.stat().st_size != stated["size"] or _sha256_of(path) != stated["sha256"]:
            raise ReleaseCorrupt(
                f"{folder.name}: {name} is not the file that was released. Restore the release folder."
            )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """`manifest.json`, its structure checked, the other files not looked at. Raises ReleaseCorrupt."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ReleaseCorrupt(f"{folder.name}: {MANIFEST} is too large to be a manifest.")
        text = path.read_bytes()
        return _parse(json.loads(text), hashlib.sha256(text).hexdigest())
    except OSError:
        raise ReleaseCorrupt(f"{folder.name}: there is no readable {MANIFEST}; this is not a release folder.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseCorrupt(f"{folder.name}: {MANIFEST} cannot be used ({error}). Restore the folder.") from None


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of one file, checked again as they are read, so that what is parsed is what was verified."""
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise ReleaseCorrupt(f"{folder.name}: {name} cannot be read. Restore the release folder.") from None
    if hashlib.sha256(data).hexdigest() != manifest.files[name]["sha256"]:
        raise ReleaseCorrupt(f"{folder.name}: {name} is not the file that was released. Restore the release folder.")
    return data


def write_manifest(
    folder: Path,
    *,
    name: str,
    encoder: Mapping[str, Any],
    accurate: Mapping[str, Any],
    quantisation: Mapping[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    code_commit: str = "",
    base: str = "",
    created_at: str = "",
) -> Manifest:
    """The last step of building a release: lists every file of `folder` and writes `manifest.json` atomically.

    The id is `name` and the first 8 hex digits of the content hash; `encoder["hash"]` is filled in here.
    Raises ValueError when a required file is missing.
    """
    missing = [required for required in REQUIRED if not (folder / required).is_file()]
    if missing:
        raise ValueError(f"A release needs {', '.join(missing)} in {folder.name} before its manifest is written.")
    manifest = draft_manifest(
        folder,
        name=name,
        encoder=encoder,
        accurate=accurate,
        quantisation=quantisation,
        metrics=metrics,
        data=data,
        code_commit=code_commit,
        base=base,
        created_at=created_at,
    )
    write_json(folder / MANIFEST, manifest.raw)
    return verify(folder)


def draft_manifest(
    folder: Path,
    *,
    name: str,
    encoder: Mapping[str, Any],
    accurate: Mapping[str, Any],
    quantisation: Mapping[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    code_commit: str = "",
    base: str = "",
    created_at: str = "",
) -> Manifest:
    """The manifest of the files that are in `folder` now, not written: for `Cascade.assemble` before golden.json."""
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a release name: letters, digits, dot, dash and underscore only.")
    files = {
        path.name: {"sha256": _sha256_of(path), "size": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and _PLAIN_NAME.fullmatch(path.name)
    }
    listing = "\n".join(f"{file} {stated['sha256']}" for file, stated in sorted(files.items()))
    raw = {
        "format": FORMAT,
        "id": f"{name}-{hashlib.sha256(listing.encode()).hexdigest()[:8]}",
        "name": name,
        "created_at": created_at or datetime.now(UTC).isoformat(timespec="seconds"),
        "code_commit": code_commit,
        "base": base,
        "encoder": {**encoder, "hash": encoder_hash(files, encoder)},
        "accurate": dict(accurate),
        "quantisation": dict(quantisation or {}),
        "files": files,
        "policy": json.loads((folder / "policy.json").read_text(encoding="utf-8")),
        "metrics": dict(metrics or {}),
        "data": dict(data or {}),
    }
    return _parse(json.loads(json.dumps(raw, allow_nan=False)), "")


def encoder_hash(files: Mapping[str, Mapping[str, Any]], encoder: Mapping[str, Any]) -> str:
    """What names an embedding space: two releases with the same hash give the same photo the same embedding.

    files: the manifest's `files`; encoder: the manifest's `encoder` (its own "hash" is not read).
    """
    keys = ("image_size", "mean", "std", "resize_mode", "views", "handmade")
    preprocessing = json.dumps([VIEWS_VERSION, {key: encoder[key] for key in keys}], sort_keys=True)
    parts = (files["trunk.onnx"]["sha256"], files["embed.onnx"]["sha256"], preprocessing)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON at `path`: whole or not at all, on disk when this returns. Raises ValueError on NaN."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _parse(raw: dict[str, Any], sha256: str) -> Manifest:
    if raw["format"] != FORMAT:
        raise ValueError(f"format {raw['format']!r}, this version reads format {FORMAT}")
    for name, stated in raw["files"].items():
        if not _PLAIN_NAME.fullmatch(name) or not isinstance(stated["size"], int) or len(stated["sha256"]) != 64:
            raise ValueError(f"the entry of file {name!r} is malformed")
    if sha256:
        missing = [name for name in REQUIRED if name not in raw["files"]]
        if missing:
            raise ValueError(f"it does not list {', '.join(missing)}")
    return Manifest(
        id=str(raw["id"]),
        format=raw["format"],
        created_at=str(raw["created_at"]),
        encoder=dict(raw["encoder"]),
        accurate=dict(raw["accurate"]),
        files=dict(raw["files"]),
        policy=dict(raw["policy"]),
        metrics=dict(raw["metrics"]),
        data=dict(raw["data"]),
        code_commit=str(raw["code_commit"]),
        raw=raw,
        sha256=sha256,
    )


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
