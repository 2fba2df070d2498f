"""The split encoder at inference: a photo is cut into views, each view goes through the trunk, then through a tail.

The views and the resizing are the same for training and serving: both call `cut_views` and `resize`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from cataract.ml.arrays import Floats, Pixels, halve
from cataract.ml.encoding.pupil import Pupil, find_pupil

VIEWS_VERSION = 1  # part of the embedding space: increment it when views, pupil or hand-crafted features change
VIEWS = ("full", "centre", "pupil")
CENTRE_SHARE = 0.7  # side of the central square, of the photo's short side
PUPIL_REACH = 1.7  # the pupil view reaches this many radii of the circle to each side of its middle


@dataclass(frozen=True)
class EncoderSpec:
    """How photos become the encoder's input (the manifest's `encoder`)."""

    name: str
    hash: str
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_mode: str
    views: tuple[str, ...]
    handmade: bool
    embedding_dim: int
    dim: int
    arch: str = ""
    interpolation: str = "bicubic"

    @classmethod
    def of(cls, encoder: Mapping[str, Any]) -> "EncoderSpec":
        """The spec in a manifest. Raises ValueError when it names a view or a way to resize that does not exist."""
        spec = cls(
            name=str(encoder["name"]),
            hash=str(encoder["hash"]),
            image_size=int(encoder["image_size"]),
            mean=triple(encoder["mean"]),
            std=triple(encoder["std"]),
            resize_mode=str(encoder["resize_mode"]),
            views=tuple(encoder["views"]),
            handmade=bool(encoder["handmade"]),
            embedding_dim=int(encoder["embedding_dim"]),
            dim=int(encoder["dim"]),
            arch=str(encoder.get("arch", "")),
            interpolation=str(encoder.get("interpolation", "bicubic")),
        )
        if not spec.views or not set(spec.views) <= set(VIEWS) or not can_resize(spec.resize_mode, spec.interpolation):
            raise ValueError(
                f"The encoder asks for views {spec.views} resized by {spec.resize_mode!r} and {spec.interpolation!r}."
            )
        return spec

    def as_json(self) -> dict[str, Any]:
        """The `encoder` entry of a manifest: the inverse of `of`."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "views": list(self.views)}


def cut_views(pixels: Pixels, views: Sequence[str], pupil: Pupil | None = None) -> list[Pixels]:
    """The crops of an (H, W, 3) photo that `views` names, in that order; `pupil` is the result of `find_pupil`."""
    return [_CUTTERS[view](pixels, pupil) for view in views]


def can_resize(mode: str, interpolation: str) -> bool:
    """Whether `resize` knows the mode and the interpolation."""
    return mode in _RESIZERS and interpolation in _FILTERS


def resize(pixels: Pixels, size: int, mode: str, interpolation: str = "bicubic") -> Pixels:
    """(H, W, 3) uint8 -> (size, size, 3) uint8 as open_clip's transform does it (PIL's filters with antialiasing).

    Deviation: a photo of at least four times the size is first halved, once or more, to at least twice the size, which
    is several times faster and moves a pixel by less than 0.5/255 in the mean (tested).
    """
    return _RESIZERS[mode](halve(pixels, size, size), size, _FILTERS[interpolation])


def normalise(batch: Sequence[Pixels], spec: EncoderSpec) -> Floats:
    """Resized (S, S, 3) photos -> (N, 3, S, S) float32, as torchvision's ToTensor and Normalize give it."""
    scale = (1 / (255 * np.asarray(spec.std))).astype(np.float32)
    shift = (-np.asarray(spec.mean) / np.asarray(spec.std)).astype(np.float32)
    planes = np.empty((len(batch), 3, *batch[0].shape[:2]), dtype=np.float32)
    for photo, target in zip(batch, planes, strict=True):
        for channel, plane in enumerate(target):  # transposing the whole batch afterwards takes twice as long
            np.multiply(photo[:, :, channel], scale[channel], out=plane)
            plane += shift[channel]
    return planes


def prepare(pixels: Pixels, spec: EncoderSpec, pupil: Pupil | None = None) -> Floats:
    """The trunk's input for one photo: its views, (len(views), 3, S, S) float32. `pupil` is found when needed."""
    if pupil is None and "pupil" in spec.views:
        pupil = find_pupil(pixels)
    views = cut_views(pixels, spec.views, pupil)
    return normalise([resize(view, spec.image_size, spec.resize_mode, spec.interpolation) for view in views], spec)


class Graph:
    """One ONNX graph with one input and one output. `run` may be called from many threads at once."""

    def __init__(self, data: bytes, *, providers: Sequence[str], threads: int) -> None:
        import onnxruntime  # takes 0.15 s: only processes that predict pay for it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores from the web server's other threads between two photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(data, options, providers=list(providers))
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        # The scale of 8-bit activations is taken over all rows at once: a photo's numbers depend on its neighbours.
        self.mixes_rows = b"DynamicQuantizeLinear" in data

    def run(self, batch: Floats) -> Floats:
        """(N, ...) float32 -> (N, ...) float32."""
        return np.asarray(self._session.run([self._output], {self._input: batch})[0], dtype=np.float32)


class Encoder:
    """Trunk and embedding tail of one release."""

    def __init__(
        self, spec: EncoderSpec, trunk: bytes, embed: bytes, *, providers: Sequence[str], threads: int
    ) -> None:
        self.spec = spec
        self._trunk = Graph(trunk, providers=providers, threads=threads)
        self._embed = Graph(embed, providers=providers, threads=threads)
        self.mixes_rows = self._trunk.mixes_rows or self._embed.mixes_rows

    def activate(self, batch: Floats) -> Floats:
        """Prepared views (N, 3, S, S) -> activations, the input of both tails, (N, ...)."""
        return self._trunk.run(batch)

    def embed(self, activations: Floats) -> Floats:
        """Activations (N, ...) -> embeddings (N, E), each of L2 norm 1."""
        return self._embed.run(activations)


def triple(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _square(pixels: Pixels, x: float, y: float, side: float) -> Pixels:
    """The square around (x, y), in pixels, moved and shrunk as far as needed to lie inside the photo."""
    height, width = pixels.shape[:2]
    length = max(8, min(round(side), height, width))
    left = min(max(round(x - length / 2), 0), width - length) if width >= length else 0
    top = min(max(round(y - length / 2), 0), height - length) if height >= length else 0
    return pixels[top : top + length, left : left + length]


def _full(pixels: Pixels, pupil: Pupil | None) -> Pixels:
    return pixels


def _centre(pixels: Pixels, pupil: Pupil | None) -> Pixels:
    height, width = pixels.shape[:2]
    return _square(pixels, width / 2, height / 2, CENTRE_SHARE * min(height, width))


def _pupil(pixels: Pixels, pupil: Pupil | None) -> Pixels:
    if pupil is None or not pupil.is_sure:
        return _centre(pixels, pupil)
    height, width = pixels.shape[:2]
    return _square(pixels, pupil.x * width, pupil.y * height, 2 * PUPIL_REACH * pupil.radius * width)


_CUTTERS = {"full": _full, "centre": _centre, "pupil": _pupil}


_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def _resample(pixels: Pixels, width: int, height: int, kind: Image.Resampling) -> Pixels:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), kind), dtype=np.uint8)


def _squash(pixels: Pixels, size: int, kind: Image.Resampling) -> Pixels:
    return _resample(pixels, size, size, kind)


def _shortest(pixels: Pixels, size: int, kind: Image.Resampling) -> Pixels:
    """Short side to `size`, then the central square (torchvision's Resize and CenterCrop, with their rounding)."""
    height, width = pixels.shape[:2]
    if width <= height:
        resized = _resample(pixels, size, int(size * height / width), kind)
    else:
        resized = _resample(pixels, int(size * width / height), size, kind)
    top = round((resized.shape[0] - size) / 2)
    left = round((resized.shape[1] - size) / 2)
    return resized[top : top + size, left : left + size]


def _longest(pixels: Pixels, size: int, kind: Image.Resampling) -> Pixels:
    """Long side to `size`, the rest black on both sides (open_clip's ResizeKeepRatio and CenterCropOrPad)."""
    height, width = pixels.shape[:2]
    factor = size / max(height, width)
    resized = _resample(pixels, max(1, round(width * factor)), max(1, round(height * factor)), kind)
    canvas = np.zeros((size, size, 3), dtype=np.uint8)
    top, left = (size - resized.shape[0]) // 2, (size - resized.shape[1]) // 2
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    return canvas


_RESIZERS = {"squash": _squash, "shortest": _shortest, "longest": _longest}
