"""The golden predictions of a new release: answers on synthetic eyes that every serving machine must reproduce."""

from pathlib import Path

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.release.description import Quantisation, ReleaseDescription
from cataract.ml.release.manifest import draft_manifest, write_json
from cataract.ml.synthetic import render_eye

_EYES = ((11, 0.0), (12, 0.9), (13, 0.5), (14, 0.0))  # (seed, opacity of the lens)


def write_golden(folder: Path, description: ReleaseDescription) -> None:
    """Write golden.json into a release folder that lacks only this file and its manifest."""
    photos = {f"eye-{seed}": render_eye(seed, opacity=opacity, size=160) for seed, opacity in _EYES}
    cascade = Cascade.assemble(folder, draft_manifest(folder, description))
    tolerance = golden_tolerance(description.quantisation)
    write_json(folder / "golden.json", cascade.make_golden(photos, tolerance=tolerance))


def golden_tolerance(quantisation: Quantisation) -> float:
    """How far scores and probabilities may differ on another machine: 8-bit kernels differ between processors."""
    return 0.05 if quantisation.has_int8 else 1e-3
