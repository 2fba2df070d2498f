"""The parts of a starter release: encoder, both models and gate, fitted on all sources or on all but some."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from cataract.ml.arrays import Floats
from cataract.ml.cascade.fast import FastModel
from cataract.ml.encoding import framing
from cataract.ml.learn.build.calibrate import HeldOut
from cataract.ml.learn.fast.fit import FastFit, fit_fast
from cataract.ml.learn.reporter import Reporter
from cataract.ml.learn.starter.clean_set import AugmentedSet, CleanSet, choose_test_photos, embed_clean_set
from cataract.ml.learn.starter.collection import Collection
from cataract.ml.learn.starter.encoder import export_encoder, train_further
from cataract.ml.learn.starter.gate.other_finding import fit_other_finding
from cataract.ml.learn.starter.gate.photo_gate import OUTLIERS, fit_photo_gate
from cataract.ml.release.manifest import write_json

_NOISY, _OUTLIERS = 500, OUTLIERS  # photos of the noisy folders, and drawn outliers, that fit the gate


@dataclass(frozen=True)
class Models:
    """What is in `folder`: a release without calibration and policy.

    left_out: the sources that nothing saw. clean: the photos as this encoder sees them; test: those of the clean set,
    (M,), on which nothing is fitted.
    """

    folder: Path
    left_out: tuple[str, ...]
    home: str
    clean: CleanSet
    test: NDArray[np.bool_]
    fast: FastFit

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """The photos that the fast model was fitted on, (M,)."""
        return ~self.test & ~self.is_left_out

    @property
    def is_left_out(self) -> NDArray[np.bool_]:
        """The photos of the sources that were left out, (M,)."""
        return np.isin(self.clean.sources, self.left_out)

    @property
    def at_home(self) -> NDArray[np.bool_]:
        """The photos of the clean set, (M,)."""
        return np.asarray(self.clean.sources == self.home, dtype=np.bool_)

    def fast_scores(self, rows: NDArray[np.int64]) -> Floats:
        """The fast model's log-odds of these photos."""
        return FastModel(self.fast.text, dim=self.clean.vectors.shape[1]).score(self.clean.vectors[rows])

    def held_out_at_home(self) -> HeldOut:
        """The scores of the clean set out of fold; the accurate model saw none of it."""
        fitted = np.flatnonzero(self.fitted)
        own = self.at_home[fitted]
        return self._scores(fitted[own], self.fast.oof_scores[: len(fitted)][own])

    def held_out_elsewhere(self) -> HeldOut:
        """The scores of the sources that were left out."""
        rows = np.flatnonzero(self.is_left_out)
        return self._scores(rows, self.fast_scores(rows))

    def _scores(self, rows: NDArray[np.int64], fast: Floats) -> HeldOut:
        return HeldOut(fast, self.clean.scores[rows], self.clean.y[rows], self.clean.clusters[rows], "")


def fit_models(
    photos: Collection,
    clusters: NDArray[np.int64],
    base: nn.Module,
    folder: Path,
    left_out: Sequence[str],
    *,
    start: Path | None,
    seed: int,
    steps: int,
    trials: int,
    reporter: Reporter,
) -> Models:
    """Train the encoder further, fit the fast model and the gate, without the sources to leave out.

    folder: an empty one; checkpoints lie beside it. start: see `choose_test_photos`. Raises ValueError, ReleaseCorrupt,
    Cancelled.
    """
    checkpoint = folder.with_name(f"encoder-{seed}-{steps}-{folder.name}.safetensors")
    network = train_further(
        base, photos, clusters, checkpoint, leave_out=left_out, seed=seed, steps=steps, reporter=reporter
    )
    spec = export_encoder(network, folder)
    write_json(folder / framing.FILE, photos.framing.as_json())
    clean = embed_clean_set(photos, clusters, folder, spec, reporter)
    test = choose_test_photos(clean, photos.home, start, seed)
    fitted = np.flatnonzero(~test & ~np.isin(clean.sources, left_out))
    data = AugmentedSet.of(clean.take(fitted))
    reporter.progress("fast", 0.0, f"searching the fast model's parameters, {trials} trials")
    fast = fit_fast(
        data.x, data.y, data.clusters, data.weights, trials=trials, seconds=float("inf"), seed=seed, reporter=reporter
    )
    (folder / "fast.txt").write_text(fast.text, encoding="utf-8")
    write_json(folder / "gate.json", _fit_gate(photos, clusters, clean.take(fitted), left_out, seed, reporter))
    return Models(folder, tuple(left_out), photos.home, clean, test, fast)


def _fit_gate(
    photos: Collection,
    clusters: NDArray[np.int64],
    clean: CleanSet,
    left_out: Sequence[str],
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """The gate, fitted on these photos, on noisy ones that are no copies of clean ones, and on what shows no eye."""
    noisy = np.arange(photos.clean, photos.clean + photos.noisy)
    apart = noisy[~np.isin(clusters[noisy], clusters[: photos.clean])]
    drawn = np.random.default_rng(seed).choice(apart, size=min(_NOISY, len(apart)), replace=False)
    strange = photos.rows(eyes=False, sources=[name for name in photos.other_sources if name not in left_out])
    gate = fit_photo_gate(
        clean.pixels,
        clean.clusters,
        framing=photos.framing,
        others=[photos.pixels[row] for row in drawn],
        strange=[photos.pixels[row] for row in strange],
        outliers=_OUTLIERS,
        seed=seed,
        reporter=reporter,
    )
    embeddings = clean.vectors[:, : clean.spec.embedding_dim * len(clean.spec.views)]
    at_home = np.asarray(clean.sources == photos.home, dtype=np.bool_)
    other = fit_other_finding(embeddings, clean.y, clean.other, clean.clusters, at_home, seed)
    return gate if other is None else {**gate, "other": other}
