"""Labels become a frozen dataset: only the labels that may train, the same labels the same row, the splits apart."""

import pytest

from predictions.models import Cluster
from review.models import Label
from tests.training.makers import label_photo, label_photos
from training import datasets
from training.datasets import NotEnoughLabels, freeze_dataset, preview, training_rows

pytestmark = pytest.mark.django_db


def test_the_same_labels_give_the_same_dataset_and_a_new_label_another() -> None:
    label_photos()
    first = freeze_dataset(user=None)
    assert freeze_dataset(user=None) == first
    assert first.counts == {
        "train": {"normal": 10, "cataract": 10},
        "calibration": {"normal": 3, "cataract": 3},
        "test": {"normal": 3, "cataract": 3},
    }
    label_photo("cataract", "train", 900)
    assert preview().new_since_last == 1
    assert freeze_dataset(user=None) != first


def test_labels_that_may_not_train_are_left_out_and_counted_by_reason() -> None:
    label_photos()
    no_consent = label_photo("cataract", "train", 901, may_train=False)
    after_ai = label_photo("cataract", "train", 902)
    Label.objects.filter(pk=after_ai.pk).delete()  # a label is never edited, not even by a test
    after_ai.provenance, after_ai.may_train = Label.Provenance.AFTER_AI, False
    after_ai.save(force_insert=True)
    merged = label_photo("normal", "train", 903)
    merged.image.cluster = Cluster.objects.create(split="test")
    merged.image.split = "excluded"
    merged.image.save()
    unclear = label_photo("ungradable", "train", 904)
    dataset = freeze_dataset(user=None)
    assert not dataset.items.filter(label__in=[no_consent, after_ai, merged, unclear]).exists()
    assert dict(preview().excluded) == {
        "no consent to train with the photo": 1,
        "answered after the AI was shown": 1,
        "its group of photos merged with one of another split": 1,
        "the answer is cannot judge": 1,
    }


def test_a_fit_sees_no_test_photo_and_the_gates_see_no_other() -> None:
    label_photos()
    dataset = freeze_dataset(user=None)
    assert set(training_rows(dataset).values_list("split", flat=True)) == {"train", "calibration"}
    assert set(datasets.test_rows(dataset).values_list("split", flat=True)) == {"test"}


def test_a_photo_that_left_its_split_or_its_consent_after_the_freeze_is_not_trained_on() -> None:
    labels = label_photos()
    dataset = freeze_dataset(user=None)
    before = training_rows(dataset).count()
    labels[0].image.may_train = False
    labels[0].image.save()
    labels[1].image.split = "excluded"
    labels[1].image.save()
    assert training_rows(dataset).count() == before - 2


def test_too_few_labels_are_refused_with_what_is_missing() -> None:
    label_photos(train=10, calibration=3)
    Label.objects.filter(answer="cataract", image__split="train").delete()
    with pytest.raises(NotEnoughLabels, match=r"cataract in the training split: 0 .* 10 needed"):
        freeze_dataset(user=None)


def test_many_photos_of_one_patient_count_once() -> None:
    labels = label_photos()
    shared = Cluster.objects.create(split="train")
    for label in labels[:10]:
        label.image.cluster = shared
        label.image.save()
    assert preview().clusters["train"]["normal"] == 1
    with pytest.raises(NotEnoughLabels, match="normal in the training split: 1 "):
        freeze_dataset(user=None)
