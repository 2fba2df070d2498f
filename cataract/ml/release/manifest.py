"""The manifest of a release folder: written last, and verified before anything else is parsed.

A release is one folder of plain files, no pickle. Text files are UTF-8; numbers in JSON are finite.

Read by inference, and required unless said otherwise:

trunk.onnx        input "pixels" (N, 3, S, S) float32, normalised RGB -> output "activations" (any shape, first axis N)
embed.onnx        input "activations" -> output "embedding" (N, E) float32, each row of L2 norm 1
accurate.onnx     input "activations" -> output "logit" (N,) float32, positive means cataract
                  First axis dynamic in all three, no external data. An accepted int8 variant replaces the file.
fast.txt          LightGBM model text (binary objective), or a logistic regression as JSON:
                  {"coefficients": [D numbers], "intercept": b}; feature count == manifest encoder.dim
calibration.json  {"fast": C, "accurate": C}, where C is one of (`cascade.calibration`)
                    {"kind": "temperature", "temperature": T}
                    {"kind": "platt", "slope": a, "intercept": b}
                    {"kind": "isotonic", "x": [raw scores, increasing], "y": [probabilities]}
gate.json         {"quality": {...}, "ood": {...}, "eye": {...}}; keys: `cascade.gate`
policy.json       {"version", "fast_band": {"low", "high"}, "auto": {"normal_below", "cataract_above"},
                   "disagreement_margin", "accurate_weight"}, and what it promises (meaning: `cascade.policy`)
framing.json      {"weights": [...]}; meaning: `encoding.framing`. Optional: older releases lack it
golden.json       {"tolerance": t, "cases": [{"name", "png": base64 of a PNG, "expect": {"decision", "fast_score",
                   "accurate_score", "probability"}}]}; made by `release.golden`, numbers may be null

Optional, never read by inference:

encoder.safetensors, open_clip.json   the tower's weights and its open_clip model config, to train from
seen.json         {"hashes": [16 hex digits, ...]}: perceptual hashes of the photos it was fitted on
rehearsal.npz     public photos that every retraining includes, as the fast model sees them (`learn.build.rehearsal`)
out_of_fold.npz   scores of the installation's own photos by models fitted without them (`learn.build.out_of_fold`)
metrics.json      what was measured when the release was built
card.md           the model card

manifest.json, written last (as types: `release.description`):

{"format": 1,
 "id": "<name>-<first 8 hex digits of the content hash>",
 "name": "starter",
 "created_at": "2026-01-31T12:00:00+00:00",
 "code_commit": of the code that built it, "base": "" (id of the release whose encoder was taken over),
 "encoder": {"name", "arch", "hash", "image_size": S, "mean": [3], "std": [3],
             "resize_mode": "squash" | "shortest" | "longest" (open_clip's words),
             "interpolation": "bicubic" (also where it is absent) | "bilinear",
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

from cataract.ml.encoding import framing
from cataract.ml.encoding.encoder import VIEWS_VERSION, EncoderSpec
from cataract.ml.release.commit import code_commit
from cataract.ml.release.description import FileRecord, ReleaseDescription

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"  # made by the installation that registers the release; no part of it
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
    """The folder is not an intact release. The message says what is wrong and is meant for a person."""


@dataclass(frozen=True, kw_only=True)
class Manifest(ReleaseDescription):
    """The content of `manifest.json`: the description of the release, and what was read from its folder.

    policy: copy of policy.json. raw: the whole JSON object. sha256: digest of the manifest file, "" for a draft.
    """

    id: str
    files: Mapping[str, FileRecord]
    policy: dict[str, Any]
    raw: dict[str, Any]
    sha256: str


def verify(folder: Path, *, sha256: str = "") -> Manifest:
    """The manifest of an intact release: every file has the stated size and SHA-256. Parses no other file.

    `sha256`: the digest on record of the manifest file itself, where it is known.
    Raises ReleaseCorrupt.
    """
    manifest = read_manifest(folder)
    if sha256 and manifest.sha256 != sha256:
        raise ReleaseCorrupt(f"{folder.name}: the manifest is not the one on record. Restore the release folder.")
    for name, stated in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise ReleaseCorrupt(f"{folder.name}: {name} is missing. Restore the release folder.")
        if path.stat().st_size != stated.size or _sha256_of(path) != stated.sha256:
            raise ReleaseCorrupt(
                f"{folder.name}: {name} is not the file that was released. Restore the release folder."
            )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """`manifest.json` with its structure checked; the other files are not looked at. Raises ReleaseCorrupt."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ReleaseCorrupt(f"{folder.name}: {MANIFEST} is too large to be a manifest.")
        text = path.read_bytes()
        manifest = _parse(json.loads(text), hashlib.sha256(text).hexdigest())
        if missing := [name for name in REQUIRED if name not in manifest.files]:
            raise ValueError(f"it does not list {', '.join(missing)}")
    except OSError:
        raise ReleaseCorrupt(f"{folder.name}: there is no readable {MANIFEST}; this is not a release folder.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseCorrupt(f"{folder.name}: {MANIFEST} cannot be used ({error}). Restore the folder.") from None
    return manifest


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of one file, hashed again as they are read: what is parsed is what was verified.

    Raises ReleaseCorrupt.
    """
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise ReleaseCorrupt(f"{folder.name}: {name} cannot be read. Restore the release folder.") from None
    if hashlib.sha256(data).hexdigest() != manifest.files[name].sha256:
        raise ReleaseCorrupt(f"{folder.name}: {name} is not the file that was released. Restore the release folder.")
    return data


def write_manifest(folder: Path, description: ReleaseDescription) -> Manifest:
    """The last step of building a release: list every file of `folder` and write `manifest.json` atomically.

    The id is the name and the first 8 hex digits of the content hash; the hash of the encoder is computed here.
    Raises ValueError when a required file is missing.
    """
    missing = [required for required in REQUIRED if not (folder / required).is_file()]
    if missing:
        raise ValueError(f"A release needs {', '.join(missing)} in {folder.name} before its manifest is written.")
    write_json(folder / MANIFEST, draft_manifest(folder, description).raw)
    return verify(folder)


def draft_manifest(folder: Path, description: ReleaseDescription) -> Manifest:
    """The manifest of the files that are in `folder` now, not written: for `Cascade.assemble` before golden.json.

    Raises ValueError for a name that cannot be part of a release id.
    """
    if not _PLAIN_NAME.fullmatch(description.name):
        raise ValueError(f"{description.name!r} is not a release name: letters, digits, dot, dash and underscore only.")
    files = {
        path.name: FileRecord(path.stat().st_size, _sha256_of(path))
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, SIGNATURE) and _PLAIN_NAME.fullmatch(path.name)
    }
    listing = "\n".join(f"{name} {record.sha256}" for name, record in sorted(files.items()))
    stated = description.as_json()
    raw = {
        **stated,
        "format": FORMAT,
        "id": f"{description.name}-{hashlib.sha256(listing.encode()).hexdigest()[:8]}",
        "created_at": description.created_at or datetime.now(UTC).isoformat(timespec="seconds"),
        "code_commit": description.code_commit or code_commit(),
        "encoder": {**stated["encoder"], "hash": encoder_hash(files, description.encoder)},
        "files": {name: record.as_json() for name, record in files.items()},
        "policy": json.loads((folder / "policy.json").read_text(encoding="utf-8")),
    }
    return _parse(json.loads(json.dumps(raw, allow_nan=False)), "")


def encoder_hash(files: Mapping[str, FileRecord], encoder: EncoderSpec) -> str:
    """Names an embedding space: two releases with the same hash give the same photo the same embedding.

    `encoder.hash` itself is not read.
    """
    spec = encoder.as_json()
    keys = ["image_size", "mean", "std", "resize_mode", "views", "handmade"]
    if encoder.interpolation != "bicubic":  # which older releases do not state
        keys.append("interpolation")
    preprocessing = json.dumps([VIEWS_VERSION, {key: spec[key] for key in keys}], sort_keys=True)
    parts = [files["trunk.onnx"].sha256, files["embed.onnx"].sha256, preprocessing]
    parts += [files[framing.FILE].sha256] if framing.FILE in files else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON at `path`: written atomically and synced to disk. Raises ValueError on NaN."""
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
    files = {name: _file_record(name, stated) for name, stated in raw["files"].items()}
    description = vars(ReleaseDescription.of(raw))
    return Manifest(**description, id=str(raw["id"]), files=files, policy=dict(raw["policy"]), raw=raw, sha256=sha256)


def _file_record(name: str, stated: Mapping[str, Any]) -> FileRecord:
    try:
        if _PLAIN_NAME.fullmatch(name):
            return FileRecord.of(stated)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"the entry of file {name!r} is malformed")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
