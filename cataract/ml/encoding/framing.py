"""Framing: which part of a picture is the photo, and which way up it is. Comes before everything else is measured.

A screenshot has margins, and a phone may hand over a photo that lies on its side. framing.json of a release, made by
`learn.starter.framing_rule`:

weights  [LENGTH], on `describe` of a photo: log-odds that it is upright, up to a constant. The four ways to hold a
         photo are compared by the same weights, so that the turn found for a turned photo is the one found for the
         photo, plus the turn: every way of holding a photo gives the same answer.

Older releases lack the file and judge each picture as it comes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Pixels, convert, halve, shrink
from cataract.ml.encoding.features import hog, make_thumbnail

FILE = "framing.json"
_GREY, _CELLS, _DIRECTIONS, _COLOURS = 64, 4, 8, 8  # the grey thumbnail's side; parts of a side, and of a half turn
LENGTH = _CELLS * _CELLS * _DIRECTIONS + _COLOURS * _COLOURS * 3

_SIDE = 160  # margins are looked for on a copy with sides of at least twice this, where the picture is that large
_UNIFORM = 24  # grey levels between the darkest and the brightest pixel of a line of a margin; JPEG adds some
_LEAST = 1 / 8  # of the picture's height or width: a shorter block between margins is no photo


@dataclass(frozen=True)
class Frame:
    """The photo in a picture: its rows and columns, and the quarter turns clockwise that bring it upright.

    thumbnail: of the upright photo, as `features.make_thumbnail` gives it.
    """

    rows: slice
    columns: slice
    turns: int
    thumbnail: Pixels

    def cut(self, picture: Pixels) -> Pixels:
        """The photo, upright."""
        return np.ascontiguousarray(np.rot90(picture[self.rows, self.columns], -self.turns))


@dataclass(frozen=True)
class Framing:
    """The rule of one release; without weights every picture is taken as it comes."""

    weights: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, folder: Path) -> "Framing":
        """The rule of the release in `folder`, which was verified. Raises ValueError or KeyError when malformed."""
        file = folder / FILE
        return cls.from_json(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else cls()

    @classmethod
    def from_json(cls, framing: Mapping[str, Any]) -> "Framing":
        """Parse framing.json. Raises ValueError or KeyError when it is malformed."""
        weights = np.asarray(framing["weights"], dtype=np.float64)
        if weights.shape != (LENGTH,) or not np.isfinite(weights).all():
            raise ValueError("The weights of the framing do not fit what they weigh.")
        return cls(weights)

    def as_json(self) -> dict[str, Any]:
        """The content of framing.json; the inverse of `from_json`. Raises ValueError without weights."""
        if self.weights is None:
            raise ValueError("A rule without weights has no framing.json.")
        return {"weights": self.weights.tolist()}

    def find(self, picture: Pixels) -> Frame:
        """Where the photo lies in an (H, W, 3) picture."""
        if self.weights is None:
            return Frame(slice(None), slice(None), 0, make_thumbnail(picture))
        rows, columns = find_margins(picture)
        thumbnail = make_thumbnail(picture[rows, columns])
        seen = describe(thumbnail)
        turns = int(np.argmax([turn(seen, turns) @ self.weights for turns in range(4)]))
        return Frame(rows, columns, turns, np.ascontiguousarray(np.rot90(thumbnail, -turns)))

    def cut(self, picture: Pixels) -> Pixels:
        """The photo in an (H, W, 3) picture, upright."""
        return self.find(picture).cut(picture)


def find_margins(picture: Pixels) -> tuple[slice, slice]:
    """The longest block of rows, then of columns, without a uniform line: the photo in a screenshot."""
    height, width = picture.shape[:2]
    small = halve(convert(picture, cv2.COLOR_RGB2GRAY), _SIDE, _SIDE)
    rows = _longest_block(small, 1)
    columns = _longest_block(small[rows], 0)
    return _scaled(rows, height / small.shape[0]), _scaled(columns, width / small.shape[1])


def describe(thumbnail: Pixels) -> NDArray[np.float64]:
    """Edges in 4 x 4 cells and Lab colours in 8 x 8 cells of a photo's thumbnail, (LENGTH,)."""
    grey = shrink(convert(thumbnail, cv2.COLOR_RGB2GRAY), _GREY, _GREY)
    colours = shrink(convert(thumbnail, cv2.COLOR_RGB2LAB), _COLOURS, _COLOURS).ravel() / 255
    return np.concatenate([hog(grey), colours])


def turn(described: NDArray[np.float64], turns: int) -> NDArray[np.float64]:
    """What `describe` gives of the photo turned clockwise by so many quarter turns."""
    edges = described[: _CELLS * _CELLS * _DIRECTIONS].reshape(_CELLS, _CELLS, _DIRECTIONS)
    colours = described[edges.size :].reshape(_COLOURS, _COLOURS, 3)
    edges = np.roll(np.rot90(edges, -turns), turns * _DIRECTIONS // 2, axis=2)
    return np.concatenate([edges.ravel(), np.rot90(colours, -turns).ravel()])


def _longest_block(grey: Pixels, axis: int) -> slice:
    """The longest run of lines with content; all lines where it is too short for a photo."""
    darkest, brightest = (cv2.reduce(grey, axis, mode).ravel() for mode in (cv2.REDUCE_MIN, cv2.REDUCE_MAX))
    has_content = np.concatenate([[False], brightest - darkest > _UNIFORM, [False]])
    edges = np.flatnonzero(np.diff(has_content))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts)) if len(starts) else 0
    if not len(starts) or stops[longest] - starts[longest] < _LEAST * len(darkest):
        return slice(0, len(darkest))
    return slice(int(starts[longest]), int(stops[longest]))


def _scaled(lines: slice, factor: float) -> slice:
    return slice(round(lines.start * factor), round(lines.stop * factor))
