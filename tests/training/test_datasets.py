"""Labels become a frozen dataset: only the labels that may train, the same labels the same row, the splits apart."""

import itertools
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cataract.ml.photos.duplicates import NEAR, is_near
from predictions.photos.models import Cluster, EyeImage
from review.labels.models import Label
from review.reading import services as reading_services
from tests.factories import ClusterFactory, LabelFactory, ReaderFactory, UserFactory
from tests.predictions.test_clusters import arrive
from tests.record import lifted
from tests.review.makers import make_case
from tests.training.makers import label_photo, label_photos
from training.change_control.rules import rules
from training.datasets import selectors, services
from training.datasets.models import Dataset, DatasetItem
from training.datasets.selectors import training_rows
from training.datasets.services import NotEnoughLabels, freeze_dataset, preview

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
    with lifted():
        Label.objects.filter(pk=after_ai.pk).delete()  # a label is never edited, not even by a test
    after_ai.provenance, after_ai.may_train = Label.Provenance.AFTER_AI, False
    after_ai.save(force_insert=True)
    merged = label_photo("normal", "train", 903)
    merged.image.cluster = ClusterFactory.create(split="test")
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


def test_a_label_that_changes_while_a_dataset_is_frozen_is_in_it_or_not_but_never_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    label_photos()
    reads: list[int] = []

    def read_labels() -> Any:
        found = selectors.dataset_labels()
        reads.append(len(found[0]))
        if len(reads) == 1:
            label_photo("normal", "train", 906)
        return found

    monkeypatch.setattr(services, "dataset_labels", read_labels)
    dataset = freeze_dataset(user=None)
    assert len(reads) == 2 and reads[1] == reads[0] + 1
    assert dataset.items.count() == reads[1] and Dataset.objects.count() == 1
    assert dataset.fingerprint == services.fingerprint_of(selectors.dataset_labels()[0])
    for item in dataset.items.select_related("image", "label"):
        stored = (item.image, item.answer, item.split, item.cluster, item.weight)
        image = item.label.image
        assert stored == (image, item.label.answer, image.split, image.cluster_id, item.label.weight)


def test_the_preview_says_whose_readings_a_run_would_learn_from() -> None:
    label_photo("normal", "train", 905, site_name="A", device_name="slit lamp")
    reader, case = ReaderFactory.create(username="Ada"), make_case("normal")
    reading_services.claim_case(case=case, reader=reader)
    reading_services.store_blind_answer(case=case, reader=reader, answer="normal")
    assert preview().readers == [("Ada", 1)]
    assert ("A", 1) in preview().sites and ("slit lamp", 1) in preview().devices


def test_the_stream_alone_calibrates_and_tests_once_it_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules()["always_read"], "min_clusters", 2)
    label_photos()
    drawn = {"always_read": True, "always_read_rate": 0.03}
    for seed, answer in enumerate(("normal", "normal", "cataract")):
        label_photo(answer, "test", 910 + seed, **drawn)
    first = freeze_dataset(user=None)
    assert first.always_read == [] and first.items.filter(split="test").count() == 9, "one cataract is too few"
    page = start_page()
    assert (
        "Test: 9 photos, 3 of them of patients that are always read (2 normal and 1 cataract patients; from 2" in page
    )

    label_photo("cataract", "test", 920, **drawn)
    label_photo("cataract", "train", 921, **drawn)
    assert preview().new_since_last == 2
    second = freeze_dataset(user=None)
    tested = second.items.filter(split="test")
    assert second.always_read == ["test"] and second.counts["test"] == {"normal": 2, "cataract": 2}
    assert all(item.image.always_read and item.weight == 1 for item in tested)
    assert second.items.filter(split="calibration").count() == 6 and second.items.filter(split="train").count() == 21
    page = start_page()
    assert "Test: 4 photos, all of patients that are always read" in page
    assert "6 because their split takes only patients that are always read" in page
    assert preview().new_since_last == 0 and "unweighted" in second.test_source
    judged, is_stream = selectors.test_labels()
    assert is_stream and {label.image for label in judged} == {item.image for item in tested}


def test_the_photos_that_decide_grow_with_every_label_and_never_shrink_with_a_dataset() -> None:
    """What was labelled for an earlier dataset still counts, and so does what was labelled after the newest."""
    label_photos()
    first = freeze_dataset(user=None)
    late = label_photo("cataract", "test", 930)
    judged = {label.image_id for label in selectors.test_labels()[0]}
    assert judged == set(first.items.filter(split="test").values_list("image", flat=True)) | {late.image_id}


def start_page() -> str:
    client = Client()
    client.force_login(UserFactory.create(roles=["admin"]))
    return client.get("/admin/training/trainingrun/add/").content.decode()


def test_a_fit_sees_no_test_photo_and_the_gates_see_no_other() -> None:
    label_photos()
    dataset = freeze_dataset(user=None)
    assert set(training_rows(dataset).values_list("split", flat=True)) == {"train", "calibration"}
    labels, is_stream = selectors.test_labels()
    assert {label.image.split for label in labels} == {"test"} and not is_stream


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
    with lifted():
        Label.objects.filter(answer="cataract", image__split="train").delete()
    with pytest.raises(NotEnoughLabels, match=r"cataract in the training split: 0 .* 10 needed"):
        freeze_dataset(user=None)


def test_many_photos_of_one_patient_count_once() -> None:
    labels = label_photos()
    shared = ClusterFactory.create()
    for label in labels[:10]:
        label.image.cluster = shared
        label.image.save()
    assert preview().clusters["train"]["normal"] == 1
    with pytest.raises(NotEnoughLabels, match="normal in the training split: 1 "):
        freeze_dataset(user=None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_fit_ever_sees_a_near_copy_of_a_test_photo(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos arrive and join clusters in any order, datasets are frozen in between: all of them hold, also later."""
    monkeypatch.setitem(rules()["dataset"], "min_train_clusters", 0)
    with lifted():
        for model in (DatasetItem, Dataset, Label, EyeImage, Cluster):
            model.objects.all().delete()
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=3, unique=True))
    decided: dict[int, str] = {}
    for _ in range(data.draw(st.integers(2, 10))):
        word = data.draw(st.sampled_from(seeds))
        for bit in data.draw(st.sets(st.integers(0, 63), max_size=NEAR)):
            word ^= 1 << bit
        photo = arrive(word, data.draw(st.sampled_from("AB")), data.draw(st.sampled_from(["train", "test"])))
        LabelFactory.create(image=photo, answer="normal")
        now = dict(Cluster.objects.values_list("pk", "split"))
        assert all(now[cluster] == split for cluster, split in decided.items() if cluster in now), (
            "a split never changes"
        )
        decided |= now
        freeze_dataset(user=None)
    fitted = {row.image for dataset in Dataset.objects.all() for row in training_rows(dataset)}
    tested = {row.image for dataset in Dataset.objects.all() for row in dataset.items.filter(split="test")}
    tested |= {label.image for label in selectors.test_labels()[0]}
    for one, other in itertools.product(fitted, tested):
        assert not is_near([one.perceptual_hash], [other.perceptual_hash])
        assert one.patient_id is None or one.patient_id != other.patient_id
