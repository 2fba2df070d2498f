"""8-bit weights serve where they change no answer, and only there; the manifest says which, and why."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import load_model_from_string, numpy_helper
from torch import nn

from cataract.ml.learn.golden import golden_tolerance, write_golden
from cataract.ml.learn.towers import quantise
from cataract.ml.learn.towers.export import to_onnx
from cataract.ml.learn.towers.quantise import GRAPHS, quantise_if_safe
from cataract.ml.release import manifest as release
from cataract.ml.release.description import ReleaseDescription
from cataract.ml.release.manifest import MANIFEST
from cataract.ml.synthetic import render_eye

PHOTOS = [render_eye(seed, opacity=seed % 2 * 0.9, size=112) for seed in range(6)]


@pytest.fixture
def six_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "FEWEST_PHOTOS", 6)


@pytest.fixture
def unfinished(tiny_release: Path, tmp_path: Path) -> tuple[Path, ReleaseDescription]:
    """A release before its golden predictions and its manifest, with what its manifest will say."""
    folder = Path(shutil.copytree(tiny_release, tmp_path / "release"))
    manifest = release.read_manifest(folder)
    for name in (MANIFEST, "golden.json"):
        (folder / name).unlink()
    return folder, manifest


def kinds_of(graph: Path) -> set[str]:
    return {node.op_type for node in load_model_from_string(graph.read_bytes()).graph.node}


@pytest.mark.usefixtures("six_suffice")
def test_weights_that_change_no_answer_are_taken(unfinished: tuple[Path, ReleaseDescription]) -> None:
    folder, description = unfinished
    before = {name: (folder / name).stat().st_size for name in GRAPHS}
    quantisation = quantise_if_safe(folder, description, PHOTOS)
    assert quantisation.decision.startswith("int8 taken: on 6 photos 0 decisions changed")
    small = [name for name in GRAPHS if quantisation.precision[name] == "int8"]
    assert small and all((folder / name).stat().st_size < 0.9 * before[name] for name in small)
    assert all("MatMulInteger" in kinds_of(folder / name) for name in small)

    description = replace(description, quantisation=quantisation)
    write_golden(folder, description)
    manifest = release.write_manifest(folder, description)
    assert manifest.quantisation == quantisation and manifest.raw["quantisation"] == quantisation.as_json()
    assert json.loads((folder / "golden.json").read_text())["tolerance"] == golden_tolerance(quantisation) == 0.05


@pytest.mark.usefixtures("six_suffice")
def test_one_decision_that_changes_keeps_all_of_it_at_32_bits(
    unfinished: tuple[Path, ReleaseDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 8-bit head is given a bias that turns every answer around: what a bad quantisation would do."""
    folder, description = unfinished
    before = {name: (folder / name).read_bytes() for name in GRAPHS}
    honest = quantise.to_int8

    def harmful(graph: bytes) -> bytes:
        model = load_model_from_string(honest(graph))
        for constant in model.graph.initializer:
            if constant.name == "bias":
                constant.CopyFrom(numpy_helper.from_array(-1e3 * np.ones(1, np.float32), "bias"))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(quantise, "to_int8", harmful)
    quantisation = quantise_if_safe(folder, description, PHOTOS)
    assert quantisation.decision.startswith("int8 refused: on 6 photos")
    assert {quantisation.precision[name] for name in GRAPHS} == {"fp32"} and golden_tolerance(quantisation) == 1e-3
    assert {name: (folder / name).read_bytes() for name in GRAPHS} == before


def test_a_probability_that_moves_by_two_hundredths_is_too_much() -> None:
    assert quantise.Trial(photos=100, changed=0, most_moved=0.0199).is_safe
    assert not quantise.Trial(photos=100, changed=0, most_moved=0.02).is_safe
    assert not quantise.Trial(photos=100, changed=1, most_moved=0.0).is_safe
    assert not quantise.Trial(photos=99, changed=0, most_moved=0.0).is_safe


@pytest.mark.parametrize("photos", [[], PHOTOS])
def test_with_few_photos_to_decide_on_nothing_is_quantised(
    photos: list[Any], unfinished: tuple[Path, ReleaseDescription]
) -> None:
    folder, description = unfinished
    quantisation = quantise_if_safe(folder, description, photos)
    assert set(quantisation.precision.values()) == {"fp32"}
    assert quantisation.decision == (
        f"int8 refused: {len(photos)} photos are too few to compare answers on (at least 100)"
    )


def test_graphs_without_matrix_products_are_left_alone(unfinished: tuple[Path, ReleaseDescription]) -> None:
    folder, description = unfinished
    for name in GRAPHS:
        example = np.zeros((2, 3, 8, 8), np.float32)
        (folder / name).write_bytes(to_onnx(nn.Conv2d(3, 4, 3), example, source="pixels", target="activations"))
    assert "not tried" in quantise_if_safe(folder, description, []).decision
