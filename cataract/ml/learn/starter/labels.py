"""What the labels of the public photos mean to a build, and the photos whose published label was changed.

`curation.csv` names the changes file by file: they were made on contact sheets, by eye. An empty label leaves a photo
out; a star in a file's name stands for anything.
"""

import csv
import math
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from cataract.ml.labels import CATARACT, NORMAL

NO_EYE = -1


@dataclass(frozen=True)
class Label:
    """cataract: 1, 0, or `NO_EYE` for a picture that shows no eye in visible light. other: 1 when another condition
    shows, 0 when none does, NaN when the source does not say."""

    cataract: int
    other: float


_UNKNOWN = math.nan
LABELS = {
    NORMAL: Label(0, 0),
    CATARACT: Label(1, _UNKNOWN),
    "eye": Label(0, _UNKNOWN),
    **dict.fromkeys(("red-eye", "yellow-sclera", "conjunctivitis"), Label(0, 1)),
    **dict.fromkeys(("iris-camera", "fundus", "chart", "heat-map", "mask"), Label(NO_EYE, _UNKNOWN)),
}
_CURATION = Path(__file__).with_name("curation.csv")


class Curation:
    """The changes to the published labels."""

    def __init__(self) -> None:
        with _CURATION.open(encoding="utf-8", newline="") as lines:
            self._rules = list(csv.DictReader(lines))

    def label_of(self, source: str, path: Path) -> Label | None:
        """The label of the photo at `path`, whose folder names the published one; None for a photo to leave out.

        The first line of the file that fits decides. Raises ValueError on an unknown label.
        """
        name = f"{path.parent.name}/{path.name}"
        own = (rule["label"] for rule in self._rules if rule["source"] == source and fnmatch(name, rule["file"]))
        label = next(own, path.parent.name)
        if label and label not in LABELS:
            raise ValueError(f"{source}: there is no label {label!r}; there are {', '.join(LABELS)}.")
        return LABELS[label] if label else None
