"""Two releases on the same photos, as the change-control plan compares them (docs/measures.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cataract.ml.labels import CATARACT
from cataract.ml.statistics import paired
from cataract.ml.statistics.measures import Answers
from cataract.ml.statistics.paired import Difference

SIDES = ("champion", "challenger")
# The measures that are compared; +1: more is better, -1: less is.
MEASURES = {"sensitivity": 1, "specificity": 1, "roc_auc": 1, "ece": -1, "ungradable": -1}


@dataclass(frozen=True)
class Output:
    """One release's output for one photo. probability: None when it gave none; milliseconds: of processor time."""

    decision: str
    probability: float | None
    needs_review: bool
    milliseconds: float


@dataclass(frozen=True)
class Photo:
    """One photo with its truth and both outputs.

    seen_by: the releases fitted on it ("champion", "challenger"). weight: 1 / the probability that it was read, the
    number of incoming photos that it represents; 1 for a photo that is read whatever the AI says.
    """

    image: str
    cluster: int
    truth: str
    champion: Output
    challenger: Output
    groups: dict[str, str] = field(default_factory=dict)
    seen_by: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Paired:
    """One measure of both releases on the same n photos; None where it is undefined (without a photo of a class)."""

    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

    @classmethod
    def of(cls, found: Difference | None) -> "Paired":
        return cls() if found is None else cls(found.first, found.second, found.value, *found.interval, found.n)


def answers_of(photos: Sequence[Photo], side: str) -> Answers:
    """The outputs of one side as arrays."""
    outputs = [output_of(photo, side) for photo in photos]
    return Answers.of(
        [photo.truth == CATARACT for photo in photos],
        [output.decision for output in outputs],
        [float("nan") if output.probability is None else output.probability for output in outputs],
        weight=[photo.weight for photo in photos],
        clusters=[photo.cluster for photo in photos],
    )


def difference_of(name: str, photos: Sequence[Photo]) -> Difference | None:
    """The challenger's less the champion's measure on these photos; None where it is undefined."""
    champion, challenger = (answers_of(photos, side) for side in SIDES)
    return paired.compare(name, champion, challenger)


def compare_measure(name: str, photos: Sequence[Photo]) -> Paired:
    """One measure of both releases, and the 95 % interval of its paired difference by cluster."""
    return Paired.of(difference_of(name, photos))


def output_of(photo: Photo, side: str) -> Output:
    """The output of that side (of `SIDES`) for the photo."""
    return photo.champion if side == "champion" else photo.challenger


def is_right(photo: Photo, side: str) -> bool:
    """Whether the decision of that side equals the truth."""
    return output_of(photo, side).decision == photo.truth


def clusters_with(photos: Sequence[Photo], truth: str) -> int:
    """The number of clusters with a photo of this truth."""
    return len({photo.cluster for photo in photos if photo.truth == truth})
