"""One real search and fit of the fast model, from labelled photos through the worker to a registered release."""

import shutil
from typing import Any

import pytest

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.build.build import build_release
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import Manifest
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import pack
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving, store
from predictions.releases.models import Release
from review.labels.models import Label
from tests.training.makers import capture_published, label_photo, label_photos, photo_bytes
from training.comparison.models import Comparison
from training.datasets import vectors
from training.runs import services as runs_services
from training.runs import worker
from training.runs.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_fast_model_is_fitted_and_registered_and_never_saw_the_test_photos(
    champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_published(monkeypatch)
    labels = label_photos()
    twin = EyeImage.objects.get(pk=labels[0].image_id)
    unlabelled = [label_photo("normal", split, seed) for split, seed in (("train", 700), ("test", 701), ("train", 702))]
    Label.objects.filter(pk__in=[label.pk for label in unlabelled]).delete()
    EyeImage.objects.filter(pk=unlabelled[2].image_id).update(cluster=twin.cluster_id)
    parameters = {"trials": 2, "seconds": 30, "distillation": {"weight": 0.3, "floor": 0.5}}
    run = runs_services.start_training(user=None, kind="fast", reason="a real fit", parameters=parameters)
    test_photos = [
        storage.path(name) for name in EyeImage.objects.filter(split="test").values_list("stored_name", flat=True)
    ]

    def build_without_test_photos(*args: Any) -> Manifest:
        """The real build, while no test photo is on the disk."""
        for path in test_photos:
            path.rename(path.with_suffix(".hidden"))
        manifest = build_release(*args)
        for path in test_photos:
            path.with_suffix(".hidden").rename(path)
        return manifest

    assert len(test_photos) == 7
    worker.run(str(run.pk), build=build_without_test_photos)
    run = TrainingRun.objects.get()
    assert run.status == "succeeded", run.error
    assert "trial 2" in run.log
    assert "Photos without a label for distillation: 1." in run.log, "not a test photo, nor one beside a labelled one"
    assert run.release is not None and run.release.pk.startswith("retrained-")
    challenger: Cascade = serving.load(run.release)
    challenger.check_golden()
    assert challenger.manifest.data["distillation"]["photos"] == 1
    assert "Taught on photos without a label" in (store.folder_of(run.release) / "card.md").read_text()
    assert challenger.encoder_hash == champion.encoder, "the encoder is taken over"
    outcomes = challenger.predict([decode(photo_bytes(500 + n, "cataract" if n % 2 else "normal")) for n in range(6)])
    assert all(outcome.release_id == run.release.pk for outcome in outcomes)
    comparison = Comparison.objects.standing(run.release)
    assert comparison is not None and comparison.report["n"]["seen"] == 0


def test_only_photos_that_the_encoder_has_not_seen_are_encoded_and_no_score_is_made_twice(
    champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_published(monkeypatch)
    photos = [label.image for label in label_photos(test=1) if label.image.split != "test"]
    cascade = serving.champion()
    assert cascade is not None
    for photo in photos[3:]:
        vector = cascade.embed([decode(storage.read(photo.stored_name))])[0]
        Embedding.objects.create(image=photo, encoder=cascade.encoder_hash, vector=pack(vector))
    made = dict.fromkeys(("embed", "accurate_score"), 0)
    for name in made:
        monkeypatch.setattr(Cascade, name, _counting(made, name, getattr(Cascade, name)))

    def retrain() -> TrainingRun:
        made.update(dict.fromkeys(made, 0))
        run = runs_services.start_training(user=None, kind="fast", parameters={"trials": 1})
        worker.run(str(run.pk))
        run.refresh_from_db()
        assert run.status == "succeeded", run.error
        return run

    first = retrain()
    copies = sum(photo.split == "train" for photo in photos)  # of each photo that is learnt from, in one call
    assert made == {"embed": 3 + copies, "accurate_score": len(photos)}, "calibration is pooled on so few photos"
    again = retrain()
    assert made == {"embed": 0, "accurate_score": 0}
    Embedding.objects.all().delete()
    shutil.rmtree(vectors.vector_cache().parent)
    retrained = retrain()
    assert made == {"embed": len(photos) + copies, "accurate_score": len(photos)}
    assert first.release_id == again.release_id == retrained.release_id, (
        "byte by byte the same, wherever it was taken from"
    )


def _counting(made: dict[str, int], name: str, method: Any) -> Any:
    def counted(self: Cascade, *args: Any, **options: Any) -> Any:
        made[name] += 1
        return method(self, *args, **options)

    return counted
