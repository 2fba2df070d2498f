"""Export torch modules as the ONNX graphs of a release, each checked against torch."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

TOLERANCE = 1e-4  # largest difference of any output between torch and ONNX Runtime


class ExportFailed(RuntimeError):
    """The exported graph does not compute what the module does."""


def to_onnx(module: nn.Module, example: NDArray[np.float32], *, source: str, target: str) -> bytes:
    """The module as an ONNX graph of one file, its first axis free, input `source`, output `target`.

    example: (N, ...) float32, N >= 2. Raises ExportFailed when ONNX lacks something that the module needs, or when
    torch and ONNX Runtime differ by more than `TOLERANCE`.
    """
    module = module.eval()
    tensor = torch.from_numpy(example)
    buffer = io.BytesIO()
    axes: dict[str, Any] = {source: {0: "n"}, target: {0: "n"}}
    with torch.no_grad():
        expected = module(tensor).numpy()
        try:
            with _plain_attention():
                torch.onnx.export(
                    module,
                    (tensor[:1],),
                    buffer,  # type: ignore[arg-type]
                    input_names=[source],
                    output_names=[target],
                    dynamic_axes=axes,
                    opset_version=17,
                    dynamo=False,
                )
            graph = buffer.getvalue()
            difference = float(np.abs(run(graph, example) - expected).max())
        except Exception as error:  # the exporter and ONNX Runtime raise kinds of their own
            reason = str(error).strip().split("\n")[0][:200]
            raise ExportFailed(f"The {target} cannot be exported for ONNX Runtime ({reason}).") from error
    if not difference <= TOLERANCE:
        raise ExportFailed(f"The exported {target} differs from torch by {difference:.2g}; nothing was released.")
    return graph


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Switch off torch's fused attention, which ONNX lacks: a ViT is exported as matrix products."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():  # the comparison with torch afterwards says more
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


def run(graph: bytes, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """One pass of an ONNX graph through ONNX Runtime on one CPU core."""
    from cataract.ml.encoding.encoder import Graph

    return Graph(graph, providers=("CPUExecutionProvider",), threads=1).run(batch)
