"""Tiny releases for tests: a complete, real release folder of some kilobytes, made in a second.

The tower is a pooled colour grid, the fast model real LightGBM on real hand-crafted features, both fitted on a few
synthetic eyes: a tiny release says normal on `render_eye(seed, opacity=0.0)` and cataract on
`render_eye(seed, opacity=1.0)`.
"""

import functools
from pathlib import Path
from typing import Any, Literal

import lightgbm
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.cascade import gate
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.encoder import EncoderSpec, normalise, resize
from cataract.ml.encoding.features import LENGTH, extract
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.release.description import AccurateSpec, Quantisation, ReleaseDescription
from cataract.ml.release.manifest import draft_manifest, write_json, write_manifest
from cataract.ml.synthetic import render_eye

_SIZE, _GRID, _DIM = 32, 8, 6
_OPACITIES = (0.0, 0.05, 0.1, 0.7, 0.85, 1.0)
_EYES = 36

_BANDS: dict[str, dict[str, Any]] = {
    # Decides alone when it is sure, and asks the accurate model when it is not.
    "normal": {
        "fast_band": {"low": 0.3, "high": 0.7},
        "auto": {"normal_below": 0.35, "cataract_above": 0.65},
    },
    # Sure of everything: no photo goes to a clinician for being uncertain, the accurate model is never asked.
    "narrow": {"fast_band": {"low": 0.5, "high": 0.5}, "auto": {"normal_below": 0.5, "cataract_above": 0.5}},
    # Unsure of everything: both models are asked, and a person too.
    "wide": {"fast_band": {"low": 0.0, "high": 1.0}, "auto": {"normal_below": 0.0, "cataract_above": 1.0}},
}


def make_tiny_release(
    folder: Path,
    *,
    seed: int = 0,
    name: str = "tiny",
    band: Literal["normal", "narrow", "wide"] = "normal",
    contrary: bool = False,
    refuse_all: bool = False,
) -> Path:
    """Make `folder` a release that `Cascade.load` takes and whose golden predictions hold; returns `folder`.

    seed: releases of two seeds have different encoders and give different numbers. band: see `_BANDS`. contrary: the
    accurate model says the opposite of the fast one (with mode "always" or band "wide": `disagreement`). refuse_all:
    the gate finds no eye in any photo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photos, y = _eyes()
    colours = np.random.default_rng(seed).normal(size=(_DIM, 3)).astype(np.float32)
    activations = _activations(colours, photos)
    flat = activations.reshape(len(photos), -1)
    embedding = _embedding_matrix(seed)
    vectors = np.concatenate([_unit(flat @ embedding), _handmade()], axis=1).astype(np.float32)

    (folder / "trunk.onnx").write_bytes(_trunk(colours))
    (folder / "embed.onnx").write_bytes(_embed(embedding))
    (folder / "accurate.onnx").write_bytes(_head(*_fit_head(flat, y, -1 if contrary else 1)))
    (folder / "fast.txt").write_text(_fit_fast(vectors, y, seed), encoding="utf-8")
    calibration = {"kind": "platt", "slope": 1.0, "intercept": 0.0}
    write_json(folder / "calibration.json", {"fast": calibration, "accurate": calibration})
    statistics = gate.fit_gate(vectors[:, -LENGTH:], space="handmade")
    statistics["ood"] |= {"soft": 0.0, "hard": 0.0} if refuse_all else {"soft": 1e3, "hard": 1e3}
    write_json(folder / "gate.json", statistics)
    write_json(folder / "policy.json", _policy(band))
    (folder / "card.md").write_text("# A release for tests\n", encoding="utf-8")
    write_json(folder / "seen.json", {"hashes": []})

    description = ReleaseDescription(
        name=name,
        encoder=_encoder(vectors.shape[1]),
        accurate=AccurateSpec(("full",)),
        quantisation=Quantisation(dict.fromkeys(("trunk.onnx", "embed.onnx", "accurate.onnx"), "fp32")),
        metrics={"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": _EYES}},
        data={"photos": _EYES, "clusters": _EYES},
        created_at="2026-01-31T12:00:00+00:00",
    )
    draft = Cascade.assemble(folder, draft_manifest(folder, description))
    golden = {"clear": render_eye(1, opacity=0.0, size=96), "opaque": render_eye(2, opacity=1.0, size=96)}
    write_json(folder / "golden.json", draft.make_golden(golden))
    write_manifest(folder, description)
    return folder


def _encoder(dim: int) -> EncoderSpec:
    return EncoderSpec(
        name="tiny",
        arch="pooled-colours",
        hash="",
        image_size=_SIZE,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        resize_mode="squash",
        views=("full",),
        handmade=True,
        embedding_dim=_DIM,
        dim=dim,
    )


def _policy(band: str) -> dict[str, Any]:
    auto = _BANDS[band]["auto"]
    return _BANDS[band] | {
        "version": f"tiny-{band}",
        "disagreement_margin": 0.1,
        "accurate_weight": 0.5,
        "limits": {"missed": 0.01, "false_alarms": 0.05},
        "confidence": 0.95,
        "prevalence": 0.5,
        "coverage": 0.9,
        "n": _EYES,
        "calibrated_on": "synthetic eyes",
        "normal": {
            "threshold": auto["normal_below"],
            "missed": 0,
            "of": 312,
            "bound": 0.0096,
            "message": "At most 1 % of all cataracts would leave as normal unseen (95 % confidence; 0 of 312 here).",
        },
        "cataract": {
            "threshold": auto["cataract_above"],
            "false_alarms": 0,
            "of": 312,
            "found": 300,
            "cataracts": 312,
            "bound": 0.02,
            "message": "At most 5 % of the automatic cataract answers would be wrong.",
        },
    }


@functools.cache
def _eyes() -> tuple[list[Pixels], NDArray[np.int64]]:
    opacity = [_OPACITIES[seed % len(_OPACITIES)] for seed in range(_EYES)]
    photos = [render_eye(100 + seed, opacity=value, size=64) for seed, value in enumerate(opacity)]
    return photos, (np.array(opacity) > 0.5).astype(np.int64)


@functools.cache
def _handmade() -> Floats:
    vectors = np.stack([extract(photo, find_pupil(photo)) for photo in _eyes()[0]])
    assert vectors.shape[1] == LENGTH
    return vectors


def _activations(colours: Floats, photos: list[Pixels]) -> Floats:
    """What `_trunk` computes, in numpy."""
    pixels = normalise([resize(photo, _SIZE, "squash") for photo in photos], _encoder(_DIM))
    step = _SIZE // _GRID
    pooled = pixels.reshape(len(photos), 3, _GRID, step, _GRID, step).mean(axis=(3, 5))
    return np.asarray(np.maximum(np.einsum("oc,nchw->nohw", colours, pooled), 0), dtype=np.float32)


def _embedding_matrix(seed: int) -> Floats:
    return np.random.default_rng(seed + 1).normal(size=(_DIM * _GRID * _GRID, _DIM)).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _fit_head(flat: Floats, y: NDArray[np.int64], sign: int) -> tuple[Floats, Floats]:
    """Ridge regression on the activations, as weights (D,) and bias (1,) of a logit."""
    centre = flat.mean(axis=0)
    x = flat - centre
    dual = np.linalg.solve(x @ x.T + 5.0 * np.eye(len(x)), 6.0 * (y - 0.5))
    weights = sign * (x.T @ dual)
    return weights.astype(np.float32), np.array([-(weights @ centre)], dtype=np.float32)


def _fit_fast(x: Floats, y: NDArray[np.int64], seed: int) -> str:
    params = {
        "objective": "binary",
        "num_leaves": 4,
        "min_data_in_leaf": 3,
        "learning_rate": 0.2,
        "feature_fraction": 0.3,
        "seed": seed,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
    }
    return str(lightgbm.train(params, lightgbm.Dataset(x, label=y), num_boost_round=25).model_to_string())


def _trunk(colours: Floats) -> bytes:
    step = _SIZE // _GRID
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["pooled"], kernel_shape=[step, step], strides=[step, step]),
        helper.make_node("Conv", ["pooled", "colours"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["activations"]),
    ]
    return _graph(
        nodes,
        ("pixels", [None, 3, _SIZE, _SIZE]),
        ("activations", [None, _DIM, _GRID, _GRID]),
        {"colours": colours.reshape(_DIM, 3, 1, 1)},
    )


def _embed(matrix: Floats) -> bytes:
    nodes = [
        helper.make_node("Flatten", ["activations"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["raw"]),
        helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1, p=2),
    ]
    return _graph(nodes, ("activations", [None, _DIM, _GRID, _GRID]), ("embedding", [None, _DIM]), {"matrix": matrix})


def _head(weights: Floats, bias: Floats) -> bytes:
    nodes = [
        helper.make_node("Flatten", ["activations"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("Add", ["raw", "bias"], ["logit"]),
    ]
    return _graph(
        nodes, ("activations", [None, _DIM, _GRID, _GRID]), ("logit", [None]), {"weights": weights, "bias": bias}
    )


def _graph(
    nodes: list[Any],
    source: tuple[str, list[int | None]],
    result: tuple[str, list[int | None]],
    constants: dict[str, Floats],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, source[1])],
        [helper.make_tensor_value_info(result[0], TensorProto.FLOAT, result[1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
