"""An answer never depends on the photos that are computed with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.encoding.encoder import Graph
from cataract.ml.labels import Mode
from cataract.ml.learn.towers.base_release import export_tower, random_tower, write_base
from cataract.ml.synthetic import render_eye
from tests.ml.test_bench import CONFIG

STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"
GREY = np.full((120, 160, 3), 128, dtype=np.uint8)  # which the gate refuses before the encoder
NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
PHOTOS = [*(render_eye(seed, opacity=seed / 5, size=160 + 40 * seed) for seed in range(6)), GREY, NOISE]
SCORES = ("probability", "fast_score", "fast_probability", "accurate_score", "accurate_probability")


def differ(one: Outcome, other: Outcome) -> float:
    """The largest difference of any number; the rest must be equal."""
    assert (one.decision, one.needs_review, one.reasons, one.route) == (
        (other.decision, other.needs_review, other.reasons, other.route)
    )
    pairs = [(getattr(one, name), getattr(other, name)) for name in SCORES]
    assert all((a is None) == (b is None) for a, b in pairs)
    return max((abs(a - b) for a, b in pairs if a is not None), default=0.0)


class Releases:
    """Releases by name, each with what it says of each photo alone."""

    def __init__(self, folder: Path, gate: dict[str, Any]) -> None:
        self.folder, self.gate = folder, gate
        self.made: dict[str, tuple[Cascade, list[Outcome]]] = {}

    def of(self, name: str) -> tuple[Cascade, list[Outcome]]:
        """The starter, or an architecture with random weights and a precision, such as "ViT-B-32 int8"."""
        if name not in self.made:
            cascade = Cascade.load(STARTER if name == "starter" else self._untrained(name))
            self.made[name] = cascade, [cascade.predict([photo], mode=Mode.ALWAYS)[0] for photo in PHOTOS]
        return self.made[name]

    def trunk(self, name: str) -> bytes:
        return (self.folder / name / "trunk.onnx").read_bytes()

    def _untrained(self, name: str) -> Path:
        arch, precision = name.split(" ")
        tower = random_tower(arch)
        graphs = export_tower(tower)
        int8 = precision == "int8"
        write_base(self.folder / name, tower, graphs, self.gate, views=("full", "pupil"), int8=int8, trainable=False)
        return self.folder / name


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> Releases:
    gate = json.loads((tiny_release / "gate.json").read_text())
    return Releases(tmp_path_factory.mktemp("batching"), gate)


@pytest.fixture(scope="module")
def small_vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT of four small blocks that open_clip knows by name."""
    path = tmp_path_factory.mktemp("configs") / "ViT-batched.json"
    path.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path)
    return path.stem


@pytest.mark.parametrize(
    "name",
    ["starter", *(pytest.param(f"ViT-B-32 {each}", marks=pytest.mark.fault) for each in ("fp32", "int8"))],
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, len(PHOTOS) - 1), min_size=1, max_size=8), together=st.integers(1, 8))
def test_photos_together_get_the_answers_of_each_alone(
    releases: Releases, name: str, chosen: list[int], together: int
) -> None:
    cascade, alone = releases.of(name)
    outcomes = cascade.predict([PHOTOS[number] for number in chosen], mode=Mode.ALWAYS, together=together)
    assert [outcome.decision for outcome in outcomes] == [alone[number].decision for number in chosen]
    assert max(differ(outcome, alone[number]) for outcome, number in zip(outcomes, chosen, strict=True)) <= 1e-5


def rows_alone_and_together(data: bytes, rows: np.ndarray[Any, Any]) -> float:
    graph = Graph(data, providers=("CPUExecutionProvider",), threads=1)
    alone = np.concatenate([graph.run(row[None]) for row in rows])
    return float(np.abs(graph.run(rows) - alone).max())


def test_8_bit_graphs_mix_photos_so_their_releases_do_not_batch(releases: Releases, small_vit: str) -> None:
    fp32, int8 = f"{small_vit} fp32", f"{small_vit} int8"
    assert [releases.of(name)[0].batches for name in (fp32, int8, "starter")] == [True, False, True]
    rows = np.random.default_rng(1).normal(size=(4, 3, 32, 32)) * np.reshape([1, 2, 4, 8], (4, 1, 1, 1))
    moved = [rows_alone_and_together(releases.trunk(name), rows.astype(np.float32)) for name in (fp32, int8)]
    assert moved[0] < 1e-4 < 1e-2 < moved[1]
    cascade, alone = releases.of(int8)
    for outcome, one in zip(cascade.predict(PHOTOS, mode=Mode.ALWAYS, together=8), alone, strict=True):
        assert differ(outcome, one) == 0
