"""One real search and fit of the fast model, from labelled photos through the worker to a registered release."""

import pytest

from cataract.ml.cascade import Cascade
from cataract.ml.images import decode
from predictions import registry
from predictions.models import Release
from tests.training.makers import capture_published, label_photos, photo_bytes
from training import services, worker
from training.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_fast_model_is_fitted_and_registered_and_never_saw_the_test_photos(
    champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_published(monkeypatch)
    label_photos()
    parameters = {"trials": 2, "seconds": 30}
    run = services.start_training(user=None, kind="fast", reason="a real fit", parameters=parameters)
    worker.run(str(run.pk))
    run = TrainingRun.objects.get()
    assert run.status == "succeeded", run.error
    assert "trial 2" in run.log
    assert run.release is not None and run.release.pk.startswith("retrained-")
    challenger: Cascade = registry.load(run.release)
    challenger.check_golden()
    assert challenger.encoder_hash == champion.encoder, "the encoder is taken over"
    outcomes = challenger.predict([decode(photo_bytes(500 + n, "cataract" if n % 2 else "normal")) for n in range(6)])
    assert all(outcome.release_id == run.release.pk for outcome in outcomes)
    comparison = services.standing_comparison(run.release)
    assert comparison is not None and comparison.report["n"]["seen"] == 0
