"""How a release does on photos of several sources: each source by itself, and all of them together.

A photo of another source is the only honest test of a release: photos of its own source share cameras, light and habits
with those that it was trained on.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cataract.ml.cascade.cascade import Outcome
from cataract.ml.labels import CATARACT, CLASSES, NORMAL, Decision
from cataract.ml.statistics import metrics


class Kind(StrEnum):
    """What a photo shows, as far as a release must tell it apart."""

    NORMAL = NORMAL
    CATARACT = CATARACT
    OTHER_CONDITION = "other-condition"
    NO_COLOUR = "no-colour"
    NOT_AN_EYE = "not-an-eye"


KIND_OF_LABEL: dict[str, Kind] = {
    **{kind.value: kind for kind in Kind},
    "red-eye": Kind.OTHER_CONDITION,
    "yellow-sclera": Kind.OTHER_CONDITION,
    "conjunctivitis": Kind.OTHER_CONDITION,
    "labelled-glaucoma": Kind.OTHER_CONDITION,
    "iris-camera": Kind.NO_COLOUR,
    "fundus": Kind.NOT_AN_EYE,
    "chart": Kind.NOT_AN_EYE,
    "heat-map": Kind.NOT_AN_EYE,
    "mask": Kind.NOT_AN_EYE,
}
"""What each label folder of a source means; a kind's own name is a label too.

Another condition is neither "normal" nor "cataract". Whether its lens is clear is not known (half of
`labelled-glaucoma` shows a white lens), so it counts in no error rate; any automatic answer counts as closed alone.
"""


@dataclass(frozen=True)
class Judged:
    """A release's outcome for one photo of a source. Raises KeyError where `KIND_OF_LABEL` lacks the label."""

    source: str
    label: str
    outcome: Outcome

    @property
    def kind(self) -> Kind:
        return KIND_OF_LABEL[self.label]

    @property
    def is_ungradable(self) -> bool:
        return self.outcome.decision == Decision.UNGRADABLE

    @property
    def is_automatic(self) -> bool:
        """Whether a class goes back without a person."""
        return self.outcome.decision in CLASSES and not self.outcome.needs_review

    def says(self, decision: str) -> bool:
        return self.is_automatic and self.outcome.decision == decision


def by_source(outcomes: Iterable[Judged]) -> dict[str, Any]:
    """{"sources": {name: figures}, "pooled": figures}, one outcome a photo.

    figures:
    photos, labels       how many; {label: how many}
    eyes                 the photos labelled normal or cataract: `photos`, `ungradable`, `automatic` (an answer without
                         a person), `wrong_cataract` (of the automatic answers on healthy eyes those that say
                         "cataract"), `wrong_normal` (of those on cataracts, "normal"), and `specificity`,
                         `sensitivity`, `roc_auc` and `ece` as docs/measures.md defines them: an ungradable photo is
                         referred, so it counts as positive, and has no part in the last two
    other_conditions     `photos`, `ungradable`, `closed_alone` (answered without a person), and of all of them
                         `called_normal`, `called_cataract` (the same, by answer)
    no_colour            near-infrared photos: `photos`, `ungradable`, `closed_alone`
    not_an_eye           anything but an external photo of an eye: the same
    The last four are None without such photos. Every measure is {"value", "low", "high", "n"}, shares also have their
    count "k"; 95 % intervals: exact for shares that are counted here, else those of `metrics.evaluate`. A measure that
    does not exist (no photo of a class) has the value None.
    """
    judged = list(outcomes)
    sources = sorted({each.source for each in judged})
    return {
        "sources": {source: _figures([each for each in judged if each.source == source]) for source in sources},
        "pooled": _figures(judged),
    }


def _figures(judged: Sequence[Judged]) -> dict[str, Any]:
    def of(*kinds: Kind) -> list[Judged]:
        return [each for each in judged if each.kind in kinds]

    return {
        "photos": len(judged),
        "labels": dict(sorted(Counter(each.label for each in judged).items())),
        "eyes": _eyes(of(Kind.NORMAL, Kind.CATARACT)),
        "other_conditions": _other_conditions(of(Kind.OTHER_CONDITION)),
        "no_colour": _held_back(of(Kind.NO_COLOUR)),
        "not_an_eye": _held_back(of(Kind.NOT_AN_EYE)),
    }


def _eyes(judged: Sequence[Judged]) -> dict[str, Any] | None:
    if not judged:
        return None
    truth = [int(each.kind == Kind.CATARACT) for each in judged]
    probability = [math.nan if each.outcome.probability is None else each.outcome.probability for each in judged]
    graded = metrics.evaluate(truth, probability, [each.outcome.decision for each in judged])
    automatic = [each for each in judged if each.is_automatic]
    healthy = [each.says(CATARACT) for each in automatic if each.kind == Kind.NORMAL]
    cataracts = [each.says(NORMAL) for each in automatic if each.kind == Kind.CATARACT]
    return {
        "photos": len(judged),
        "ungradable": _share(each.is_ungradable for each in judged),
        "automatic": _share(each.is_automatic for each in judged),
        "wrong_cataract": _share(healthy),
        "wrong_normal": _share(cataracts),
        **{name: graded[name] for name in ("specificity", "sensitivity", "roc_auc", "ece")},
    }


def _other_conditions(judged: Sequence[Judged]) -> dict[str, Any] | None:
    figures = _held_back(judged)
    if figures is None:
        return None
    return figures | {
        "called_normal": _share(each.says(NORMAL) for each in judged),
        "called_cataract": _share(each.says(CATARACT) for each in judged),
    }


def _held_back(judged: Sequence[Judged]) -> dict[str, Any] | None:
    """Photos that no automatic answer is right for."""
    if not judged:
        return None
    return {
        "photos": len(judged),
        "ungradable": _share(each.is_ungradable for each in judged),
        "closed_alone": _share(each.is_automatic for each in judged),
    }


def _share(found: Iterable[bool]) -> dict[str, Any]:
    members = list(found)
    k, n = sum(members), len(members)
    low, high = metrics.clopper_pearson(k, n)
    return {"value": k / n, "low": low, "high": high, "n": n, "k": k} if n else {**metrics.NONE, "k": 0}
