"""Which release answers a photo now: the champion, or in an A/B test the challenger for its share of the patients."""

import logging
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cataract.core.compiled import Compiled
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.statistics.draws import is_in_share
from predictions.releases import serving
from predictions.releases.models import LiveTest, Release
from predictions.releases.serving import load_or_none

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arm:
    """One release that answers: its id, the sha256 of its manifest, and of a challenger its A/B test and share."""

    release: str
    sha256: str
    test: UUID | None = None
    share: float | None = None


@dataclass(frozen=True)
class Arms:
    """Who answers at one moment. `beside`: what else was read in the same query, empty without a champion."""

    champion: Arm | None = None
    challenger: Arm | None = None
    beside: dict[str, Any] = field(default_factory=dict)

    def arm_for(self, patient_key: str) -> Arm | None:
        """The release that answers this patient, before anybody has looked at its files."""
        other = self.challenger
        if other is not None and _is_drawn(other.test, other.share, patient_key):
            return other
        return self.champion

    def cascade_for(self, patient_key: str) -> Cascade | None:
        """The cascade that answers this patient.

        One patient is on one arm for as long as the test runs, in every process. A challenger whose files are damaged
        is logged, and the champion answers. None when the champion would have to and cannot.
        """
        arm = self.arm_for(patient_key)
        if arm is not None and arm is not self.champion:
            cascade = load_or_none(arm.release, arm.sha256)
            if cascade is not None:
                return cascade
        if self.champion is None:
            return None
        return serving.champion_or_none(self.champion.release, self.champion.sha256)

    def seen_hashes(self) -> list[str]:
        """The perceptual hashes of the photos that the champion was trained on, empty when it lists none."""
        return [] if self.champion is None else serving.seen_by(self.champion.release)


def asking(**beside: Any) -> Compiled[dict[str, Any]]:
    """The query of `who_answers`, with expressions to read beside it."""
    names = ("pk", "manifest_sha256", "status", "test", "share")
    return Compiled(lambda: Release.objects.that_answer().annotate(**beside).values(*names, *beside))


_ALONE = asking()


def who_answers(query: Compiled[dict[str, Any]] = _ALONE) -> Arms:
    """Who answers now, in one query (see `asking`), so that a promotion reaches every process with the next photo."""
    rows = query.rows()
    arms = {row["status"]: Arm(row["pk"], row["manifest_sha256"], row["test"], row["share"]) for row in rows}
    champion = arms.pop(Release.Status.CHAMPION, None)
    challenger = next((arm for arm in arms.values() if arm.test is not None), None)
    return Arms(champion, challenger, rows[0] if rows else {})


def is_on_challenger(test: LiveTest, patient_key: str) -> bool:
    """Whether an A/B test gives this patient to the challenger: by a hash of its id and the patient's key.

    Photos without a patient key are the champion's: it is unknown whether they are of one patient.
    """
    return _is_drawn(test.pk, test.share, patient_key)


def _is_drawn(test: UUID | None, share: float | None, patient_key: str) -> bool:
    return bool(patient_key) and share is not None and is_in_share(f"{test}:{patient_key}", share)
