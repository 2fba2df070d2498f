"""The accurate model at inference: the fine-tuned tail and its head, applied to the trunk's activations."""

from collections.abc import Sequence

from cataract.ml.arrays import Floats
from cataract.ml.encoding.encoder import Encoder, EncoderSpec, Graph
from cataract.ml.release.description import AccurateSpec


class AccurateModel:
    """The ONNX graph, the views that it reads, and whether it also reads them mirrored."""

    def __init__(
        self, accurate: AccurateSpec, spec: EncoderSpec, graph: bytes, *, providers: Sequence[str], threads: int
    ) -> None:
        """Raises ValueError when `accurate` names a view that the encoder does not make."""
        views = list(accurate.views)
        if not views or not set(views) <= set(spec.views):
            raise ValueError(f"the accurate model asks for views {views}, the encoder makes {list(spec.views)}")
        self._rows = [spec.views.index(view) for view in views]
        self._flip = accurate.flip
        self._graph = Graph(graph, providers=providers, threads=threads)

    def score(self, encoder: Encoder, batch: Floats, activations: Floats) -> float:
        """The mean logit of cataract over the views of one photo, and over their mirror images if the release says so.

        batch: prepared views (V, 3, S, S); activations: the trunk's output for them.
        """
        logits = self._graph.run(activations[self._rows])
        if not self._flip:
            return float(logits.mean())
        mirrored = encoder.activate(batch[self._rows][..., ::-1].copy())
        return float((logits.mean() + self._graph.run(mirrored).mean()) / 2)
