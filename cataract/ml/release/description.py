"""The content of `manifest.json` as types: the encoder, the accurate model, the precision of the graphs, the files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cataract.ml.encoding.encoder import EncoderSpec


@dataclass(frozen=True)
class FileRecord:
    """The size in bytes and the SHA-256 (hex) of one file of a release."""

    size: int
    sha256: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "FileRecord":
        """Raises ValueError, KeyError or TypeError when the entry is malformed."""
        if not isinstance(raw["size"], int) or len(raw["sha256"]) != 64:
            raise ValueError("its size or its SHA-256 is malformed")
        return cls(raw["size"], str(raw["sha256"]))

    def as_json(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "size": self.size}


@dataclass(frozen=True)
class AccurateSpec:
    """Which views the accurate model reads, and whether it averages each with its mirror image."""

    views: tuple[str, ...]
    flip: bool = False

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "AccurateSpec":
        return cls(tuple(raw["views"]), bool(raw["flip"]))

    def as_json(self) -> dict[str, Any]:
        return {"views": list(self.views), "flip": self.flip}


@dataclass(frozen=True)
class Quantisation:
    """The precision of each graph ("fp32" or "int8"), and in words what 8-bit weights did to the answers."""

    precision: Mapping[str, str] = field(default_factory=dict)
    decision: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, str]) -> "Quantisation":
        return cls({name: value for name, value in raw.items() if name != "decision"}, raw.get("decision", ""))

    @property
    def has_int8(self) -> bool:
        return "int8" in self.precision.values()

    def as_json(self) -> dict[str, str]:
        return {**self.precision, **({"decision": self.decision} if self.decision else {})}


@dataclass(frozen=True, kw_only=True)
class ReleaseDescription:
    """What the builder of a release states about it; the rest of the manifest is read from its folder.

    base: id of the release whose encoder was taken over. created_at: ISO 8601, the time of writing when empty.
    code_commit: of the code that built it, the one that runs when empty.
    """

    name: str
    encoder: EncoderSpec
    accurate: AccurateSpec
    quantisation: Quantisation = field(default_factory=Quantisation)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    code_commit: str = ""
    base: str = ""
    created_at: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "ReleaseDescription":
        """The description in the JSON of a manifest. Raises ValueError, KeyError or TypeError when it is malformed."""
        return cls(
            name=str(raw["name"]),
            encoder=EncoderSpec.of(raw["encoder"]),
            accurate=AccurateSpec.of(raw["accurate"]),
            quantisation=Quantisation.of(raw.get("quantisation", {})),
            metrics=dict(raw["metrics"]),
            data=dict(raw["data"]),
            code_commit=str(raw["code_commit"]),
            base=str(raw.get("base", "")),
            created_at=str(raw["created_at"]),
        )

    def as_json(self) -> dict[str, Any]:
        """The description in the JSON of a manifest; the inverse of `of`."""
        return {
            "name": self.name,
            "encoder": self.encoder.as_json(),
            "accurate": self.accurate.as_json(),
            "quantisation": self.quantisation.as_json(),
            "metrics": dict(self.metrics),
            "data": dict(self.data),
            "code_commit": self.code_commit,
            "base": self.base,
            "created_at": self.created_at,
        }
