"""A/B tests: which release answers which patient."""

import logging

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.statistics.draws import is_in_share
from predictions.releases.models import LiveTest
from predictions.releases.serving import champion, load_or_none

log = logging.getLogger(__name__)


def cascade_for(patient_key: str) -> Cascade | None:
    """The cascade that answers this patient now: the champion, or in an A/B test the challenger for its share of them.

    One patient is on one arm for as long as the test runs, in every process. A challenger whose files are damaged is
    logged, and the champion answers. None when the champion would have to and cannot.
    """
    test = LiveTest.objects.running(LiveTest.Kind.AB).select_related("challenger").first()
    if test is not None and is_on_challenger(test, patient_key):
        cascade = load_or_none(test.challenger_id, test.challenger.manifest_sha256)
        if cascade is not None:
            return cascade
    return champion()


def is_on_challenger(test: LiveTest, patient_key: str) -> bool:
    """Whether an A/B test gives this patient to the challenger: by a hash of its id and the patient's key.

    Photos without a patient key are the champion's: it is unknown whether they are of one patient.
    """
    if not patient_key or test.share is None:
        return False
    return is_in_share(f"{test.pk}:{patient_key}", test.share)
