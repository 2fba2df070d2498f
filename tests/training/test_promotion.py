"""Promotion by the change-control plan: refused with reasons, allowed with evidence, taken back with one click."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from cataract.core.models import ApiToken
from cataract.core.tokens import create_token
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.photos.duplicates import perceptual_hash
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import verify, write_json, write_manifest
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving, store
from predictions.releases.models import Promotion, Release
from review.labels.models import Label
from tests.factories import SiteFactory, TrainingRunFactory, UserFactory
from tests.releases import make_tiny_release
from tests.training.makers import capture_published, label_photo, label_photos
from training.change_control.rules import rules
from training.comparison import worker
from training.comparison.models import Comparison, FlipCause
from training.comparison.promotable import PromotionRefused
from training.datasets.models import Dataset
from training.datasets.services import freeze_dataset
from training.promotion import services as promotion_services

pytestmark = pytest.mark.django_db(transaction=True)
REASON = "Better on the photos of the new camera."


def url(name: str, release: Release) -> str:
    return reverse(f"admin:{name}", args=[release.pk])


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setitem(rules()["latency"], "slack_ms", 10_000.0)  # other tests keep these cores busy
    return capture_published(monkeypatch)


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(roles=["admin"]))
    return client


@pytest.fixture
def challenger(champion: Release, tmp_path: Path) -> Release:
    """Answers like the champion on every photo but was fitted elsewhere: too few photos to judge."""
    label_photos(test=2)
    freeze_dataset(user=None)
    make_tiny_release(tmp_path / "made", seed=3, name="challenger")
    release = store.register_release(folder=tmp_path / "made")
    worker.compare_with_champion(release.pk)
    return release


def set_report(release: Release, verdict: str, **changes: Any) -> Comparison:
    """Give the standing comparison a verdict, as other photos or another challenger would have."""
    comparison = Comparison.objects.get(challenger=release)
    comparison.verdict = verdict
    comparison.report = {**comparison.report, "verdict": verdict, **changes}
    comparison.save()
    return comparison


def test_the_page_shows_the_gates_in_words_and_promotes_with_a_reason(
    admin: Client, challenger: Release, champion: Release
) -> None:
    set_report(challenger, "pass", flips=[])
    page = admin.get(url("training_releasereview_change", challenger)).content.decode()
    assert "Sensitivity not worse by more than 2 points" in page and "too few to judge" in page
    answer = admin.post(url("training_promote", challenger), {"reason": REASON})
    assert answer.status_code == 302
    champion.refresh_from_db()
    challenger.refresh_from_db()
    assert (champion.status, challenger.status) == ("retired", "champion")
    promotion = Promotion.objects.first()
    assert promotion is not None and promotion.promoted_by is not None
    assert (promotion.reason, promotion.previous_id) == (REASON, champion.pk)
    cascade = serving.champion()
    assert cascade is not None and cascade.release_id == challenger.pk


def test_too_few_photos_to_judge_is_no_silent_pass(admin: Client, challenger: Release) -> None:
    set_report(challenger, "too_few", flips=[])
    refused = admin.post(url("training_promote", challenger), {"reason": REASON})
    assert refused.status_code == 422
    assert b"too few photos to judge it: acknowledge that" in refused.content
    assert admin.post(url("training_promote", challenger), {"reason": "why not"}).status_code == 422
    allowed = admin.post(url("training_promote", challenger), {"reason": REASON, "acknowledge_too_few": "on"})
    assert allowed.status_code == 302


def test_a_failed_gate_is_refused_in_words_whatever_is_acknowledged(admin: Client, challenger: Release) -> None:
    gate = {"id": "CC-1", "title": "Sensitivity", "verdict": "fail", "reason": "sensitivity is worse", "n": 200}
    set_report(challenger, "fail", gates=[gate], flips=[])
    answer = admin.post(url("training_promote", challenger), {"reason": REASON, "acknowledge_too_few": "on"})
    assert answer.status_code == 422
    assert b"The change-control plan refuses it: CC-1 (sensitivity is worse)." in answer.content
    challenger.refresh_from_db()
    assert challenger.status == "challenger"


def test_every_photo_that_turns_wrong_is_opened_and_given_a_cause(admin: Client, challenger: Release) -> None:
    first, second = sorted(str(row.image_id) for row in Dataset.objects.get().items.filter(split="test")[:2])
    comparison = set_report(
        challenger, "pass", flips=[flip(first), flip(second), flip(str(uuid4()), kind="wrong_to_right")]
    )
    page = admin.get(url("training_releasereview_change", challenger)).content.decode()
    assert reverse("predictions:photo", args=[first, "thumb"]) in page and "right to wrong" in page
    assert 'name="reason"' not in page, "the form waits for the causes"
    refused = admin.post(url("training_promote", challenger), {"reason": REASON})
    assert (
        refused.status_code == 422 and b"2 photos that turn from right to wrong must still be opened" in refused.content
    )

    opened = reverse("admin:training_flip", args=[challenger.pk, first])
    assert reverse("predictions:photo", args=[first, "view"]) in admin.get(opened).content.decode()
    assert admin.post(opened, {}).status_code == 422
    then = admin.post(opened, {"cause": "photo"})
    assert then["Location"] == reverse("admin:training_flip", args=[challenger.pk, second])
    assert admin.post(url("training_promote", challenger), {"reason": REASON}).status_code == 422
    assert admin.post(then["Location"], {"cause": "label"})["Location"].endswith("#flips")
    assert admin.post(url("training_promote", challenger), {"reason": REASON}).status_code == 302
    assert {str(c.image_id): c.cause for c in FlipCause.objects.filter(comparison=comparison)} == {
        first: "photo",
        second: "label",
    }


def flip(image: str, kind: str = "right_to_wrong") -> dict[str, Any]:
    """One row of a report's flip list."""
    said = {"truth": "cataract", "champion": "cataract", "challenger": "normal", "on": "test", "seen": False}
    return {"image": image, "kind": kind, "champion_probability": 0.9, "challenger_probability": 0.2, **said}


def test_a_photo_that_does_not_turn_wrong_has_no_cause(admin: Client, challenger: Release) -> None:
    image = str(Dataset.objects.get().items.filter(split="test")[0].image_id)
    set_report(challenger, "pass", flips=[flip(image, kind="wrong_to_right")])
    assert admin.get(reverse("admin:training_flip", args=[challenger.pk, image])).status_code == 404
    with pytest.raises(PromotionRefused, match="does not turn from right to wrong"):
        promotion_services.promote(user=None, release=challenger, reason=REASON, causes={image: "model"})


def test_rollback_is_one_click_with_a_reason(admin: Client, challenger: Release, champion: Release) -> None:
    set_report(challenger, "pass", flips=[])
    admin.post(url("training_promote", challenger), {"reason": REASON})
    assert champion.pk in admin.get(reverse("admin:training_rollback")).content.decode()
    assert admin.post(reverse("admin:training_rollback"), {"reason": ""}).status_code == 422
    assert admin.post(reverse("admin:training_rollback"), {"reason": "Readers disagree with it."}).status_code == 302
    champion.refresh_from_db()
    assert champion.status == "champion"
    assert Promotion.objects.first().is_rollback  # type: ignore[union-attr]


def test_a_damaged_release_is_refused_and_the_champion_keeps_serving(
    admin: Client, challenger: Release, champion: Release
) -> None:
    set_report(challenger, "pass", flips=[])
    (store.folder_of(challenger) / "fast.txt").write_bytes(b"tree\n")
    answer = admin.post(url("training_promote", challenger), {"reason": REASON})
    assert answer.status_code == 422 and b"fast.txt is not the file that was released" in answer.content
    champion.refresh_from_db()
    assert champion.status == "champion"


def test_a_release_that_was_not_compared_cannot_be_promoted(
    admin: Client, challenger: Release, published: list[tuple[str, str]]
) -> None:
    Comparison.objects.all().delete()
    answer = admin.post(url("training_promote", challenger), {"reason": REASON, "acknowledge_too_few": "on"})
    assert answer.status_code == 422 and b"not been compared with the current champion yet" in answer.content
    admin.post(url("training_compare", challenger))
    assert published == [("compare_releases", challenger.pk)]


@pytest.mark.parametrize("role", ["screener", "reader", "auditor", "integrator"])
def test_nobody_but_an_admin_promotes_or_rolls_back(client: Client, challenger: Release, role: str) -> None:
    client.force_login(UserFactory.create(roles=[role]))
    for path in (
        url("training_promote", challenger),
        url("training_compare", challenger),
        reverse("admin:training_rollback"),
    ):
        assert client.post(path, {"reason": REASON, "acknowledge_too_few": "on"}).status_code in (302, 403)
    for path in (f"/api/v1/releases/{challenger.pk}/promote", "/api/v1/releases/rollback"):
        assert client.post(path, {"reason": REASON}, content_type="application/json").status_code == 403
    challenger.refresh_from_db()
    assert challenger.status == "challenger"


def test_the_api_promotes_and_rolls_back_with_an_admin_key(
    client: Client, challenger: Release, champion: Release
) -> None:
    set_report(challenger, "too_few", flips=[])
    person = UserFactory.create(roles=["admin"])

    def post(path: str, scope: str, **body: Any) -> Any:
        _, key = create_token(user=person, name=scope, scopes=[scope], days=1)
        headers = {"Authorization": f"Bearer {key}"}
        return client.post(f"/api/v1/releases/{path}", body, content_type="application/json", headers=headers)

    assert post(f"{challenger.pk}/promote", ApiToken.Scope.READ, reason=REASON).status_code == 403
    refused = post(f"{challenger.pk}/promote", ApiToken.Scope.ADMIN, reason=REASON)
    assert (refused.status_code, refused.json()["code"]) == (422, "promotion_refused")
    done = post(f"{challenger.pk}/promote", ApiToken.Scope.ADMIN, reason=REASON, acknowledge_too_few=True)
    assert (done.status_code, done.json()["release"]) == (201, challenger.pk)
    back = post("rollback", ApiToken.Scope.ADMIN, reason="Readers disagree with it.")
    assert (back.status_code, back.json()["release"]) == (201, champion.pk)


def test_the_api_starts_a_run_and_shows_it(client: Client, champion: Release) -> None:
    label_photos()
    client.force_login(UserFactory.create(roles=["admin"]))
    started = client.post("/api/v1/training-runs", {"model": "fast"}, content_type="application/json")
    assert (started.status_code, started.json()["status"]) == (202, "queued")
    again = client.post("/api/v1/training-runs", {"model": "fast"}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "already_running")
    assert client.get(started["Location"]).json()["id"] == started.json()["id"]
    assert len(client.get("/api/v1/training-runs").json()["results"]) == 1
    wrong = client.post("/api/v1/training-runs", {"model": "huge"}, content_type="application/json")
    assert wrong.status_code == 422


def worse_in_one_site(folder: Path, labels: list[Label]) -> None:
    """Says the opposite on some photos, which become site B: it is worse only there."""
    make_tiny_release(folder, seed=3, contrary=True, band="wide", name="bad")
    cascade = Cascade.load(folder)
    for label in labels:
        said = cascade.predict([decode(storage.read(label.image.stored_name))])[0].decision
        EyeImage.objects.filter(pk=label.image_id).update(
            site=SiteFactory.create(name="A" if said == label.answer else "B")
        )
    assert EyeImage.objects.filter(site__name="B", split="test").count() >= 2


def worse_overall(folder: Path, labels: list[Label]) -> None:
    make_tiny_release(folder, seed=3, refuse_all=True, name="bad")


def fitted_on_a_test_photo(folder: Path, labels: list[Label]) -> None:
    description = verify(make_tiny_release(folder, seed=3, name="bad"))
    write_json(folder / "seen.json", {"hashes": [perceptual_hash(decode(storage.read(labels[-1].image.stored_name)))]})
    (folder / "manifest.json").unlink()
    write_manifest(folder, description)


@pytest.mark.parametrize(
    ("make", "clause", "words"),
    [
        (worse_in_one_site, "CC-7", r".*site B: specificity worse by 0\.\d+ at least"),
        (worse_overall, "CC-2", r"specificity is worse: by 0\.\d+ at best, by 1.000 at worst \(0.03 allowed\)"),
        (fitted_on_a_test_photo, "CC-8", r"1 test photos, or copies of them, are among those that only the challenger"),
    ],
)
def test_a_bad_challenger_is_compared_and_refused_in_words(
    admin: Client,
    champion: Release,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Any,
    clause: str,
    words: str,
) -> None:
    for least in ("min_positive_clusters", "min_negative_clusters"):
        monkeypatch.setitem(rules()["comparison"], least, 2)
    monkeypatch.setitem(rules()["subgroup"], "min_images", 2)
    if make is worse_in_one_site:  # as in a large system, where a small site hardly moves the total
        for gate in rules()["gate"]:
            monkeypatch.setitem(gate, "margin", 0.9)
    photos = 2 if make is fitted_on_a_test_photo else 6  # two pairs alone show nothing, however they differ
    labels = [label for label in label_photos(test=photos) if label.image.split == "test"]
    if make is worse_in_one_site:
        labels += [label_photo("normal", "test", seed) for seed in (40, 52, 57, 62)]  # it gets these wrong
    freeze_dataset(user=None)
    make(tmp_path / "made", labels)
    challenger = store.register_release(folder=tmp_path / "made")
    worker.compare_with_champion(challenger.pk)
    page = admin.get(url("training_releasereview_change", challenger)).content.decode()
    assert "The change-control plan refuses this release" in page and re.search(f"{clause}: {words}", page), page
    answer = admin.post(url("training_promote", challenger), {"reason": REASON, "acknowledge_too_few": "on"})
    assert answer.status_code == 422 and re.search(rf"{clause} \({words}", answer.content.decode())
    if make is worse_in_one_site:
        report = Comparison.objects.standing(challenger).report  # type: ignore[union-attr]
        assert {gate["id"] for gate in report["gates"] if gate["verdict"] == "fail"} == {"CC-7"}
    champion.refresh_from_db()
    assert champion.status == "champion"


def test_a_copy_that_is_found_after_the_freeze_is_a_leak(champion: Release, tmp_path: Path) -> None:
    labels = label_photos(test=2)
    dataset = freeze_dataset(user=None)
    challenger = store.register_release(folder=make_tiny_release(tmp_path / "made", seed=3, name="challenger"))
    TrainingRunFactory.create(dataset=dataset, base_release=champion, release=challenger)
    trained, tested = labels[0].image, labels[-1].image
    EyeImage.objects.filter(pk=trained.pk).update(cluster=tested.cluster, split="excluded", near_duplicate_of=tested)
    worker.compare_with_champion(challenger.pk)
    report = Comparison.objects.standing(challenger).report  # type: ignore[union-attr]
    leak = next(gate for gate in report["gates"] if gate["id"] == "CC-8")
    assert leak["verdict"] == "fail" and leak["reason"].startswith("1 test photos, or copies of them")


def test_the_test_photos_accumulate_and_new_labels_only_warn(
    admin: Client, champion: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = label_photos(test=2)
    freeze_dataset(user=None)
    Label.objects.filter(pk=early[-1].pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))  # before it was made
    late = label_photo("cataract", "test", 901)
    Label.objects.filter(pk=late.pk).update(weight=20.0)
    challenger = store.register_release(folder=make_tiny_release(tmp_path / "made", seed=3, name="challenger"))
    worker.compare_with_champion(challenger.pk)
    report = Comparison.objects.standing(challenger).report  # type: ignore[union-attr]
    assert report["n"]["images"] == 5, "the four of the dataset, and what was labelled after it"
    assert {point["weight"] for point in report["points"]} == {1.0, 20.0}
    assert report["since"]["images"] == len(early) - 1 + 1
    (since,) = (gate for gate in report["gates"] if gate["on"] == "since")
    assert (since["id"], since["verdict"]) == ("CC-9", "note"), "few of them hold nothing up"
    page = admin.get(url("training_releasereview_change", challenger)).content.decode()
    assert "each counts for 1 / the probability with which it was read" in page and "not judged" in page
    assert "Every measure of both, by itself" in page and "Calibration error (ECE)" in page

    monkeypatch.setitem(rules()["always_read"], "min_clusters", 1)
    EyeImage.objects.filter(pk__in=[label.image_id for label in (early[-1], late)]).update(always_read=True)
    label_photo("normal", "test", 902, always_read=True)
    worker.compare_with_champion(challenger.pk)
    report = Comparison.objects.standing(challenger).report  # type: ignore[union-attr]
    assert report["n"]["images"] == 3 and {point["weight"] for point in report["points"]} == {1.0}
    assert report["source"] == "all labelled test photos of patients that are always read; each counts once"


def test_subgroups_come_from_what_is_measured_on_the_photo(champion: Release, tmp_path: Path) -> None:
    """Brightness is the mean grey, 0 to 1: a photo is dark for what it shows, whatever its row says."""
    label_photos(test=2)
    dark = label_photo("normal", "test", 903, eye="OD", site_name="Far", device_name="phone", shade=0.2)
    label_photo("normal", "test", 904, shade=1.6)
    freeze_dataset(user=None)
    challenger = store.register_release(folder=make_tiny_release(tmp_path / "made", seed=3, name="challenger"))
    worker.compare_with_champion(challenger.pk)
    report = Comparison.objects.standing(challenger).report  # type: ignore[union-attr]
    found = {(row["group"], row["value"]): row["n"] for row in report["subgroups"]}
    assert found["brightness", "dark"] == 1 and found["brightness", "bright"] == 1
    assert found["brightness", "medium"] == 4
    assert found["site", "Far"] == found["device", "phone"] == found["eye", "OD"] == 1
    assert dark.image.quality == {}


def test_where_two_people_promote_one_asks_and_another_confirms(
    admin: Client, challenger: Release, champion: Release, settings: Any
) -> None:
    settings.PROMOTION_NEEDS_TWO = True
    set_report(challenger, "too_few", flips=[])
    assert admin.post(url("training_promote", challenger), {"reason": REASON}).status_code == 422, (
        "the plan comes first"
    )
    form = {"reason": REASON, "acknowledge_too_few": "on"}
    assert admin.post(url("training_promote", challenger), form).status_code == 302
    challenger.refresh_from_db()
    assert challenger.status == "challenger"
    again = admin.post(url("training_promote", challenger), form)
    assert again.status_code == 422 and b"already been requested" in again.content
    assert b"Take the request back" in admin.get(url("training_releasereview_change", challenger)).content
    alone = admin.post(url("training_decide", challenger), {"confirm": "1"}, follow=True)
    assert b"You requested this promotion yourself" in alone.content
    with pytest.raises(PromotionRefused, match="Two people promote here"):
        promotion_services.promote(user=None, release=challenger, reason=REASON, acknowledge_too_few=True)

    other = Client()
    second = UserFactory.create(roles=["admin"])
    other.force_login(second)
    assert b"Confirm: promote" in other.get(url("training_releasereview_change", challenger)).content
    other.post(url("training_decide", challenger), {"confirm": "1"})
    challenger.refresh_from_db()
    assert challenger.status == "champion"
    promotion = Promotion.objects.first()
    assert promotion is not None and promotion.promoted_by == second
    assert promotion.reason.startswith(REASON) and f"confirmed by {second.username}" in promotion.reason
    assert other.post(url("training_decide", challenger), {"confirm": "1"}).status_code == 404


def test_the_api_asks_and_another_confirms_and_a_request_can_be_declined(
    client: Client, challenger: Release, settings: Any
) -> None:
    settings.PROMOTION_NEEDS_TWO = True
    set_report(challenger, "pass", flips=[])
    client.force_login(UserFactory.create(roles=["admin"]))
    path = f"/api/v1/releases/{challenger.pk}"
    asked = client.post(f"{path}/promote", {"reason": REASON}, content_type="application/json")
    assert (asked.status_code, asked.json()["release"]) == (202, challenger.pk)
    assert client.post(f"{path}/confirm").status_code == 422
    client.post(url("training_decide", challenger), {"decline": "1"})
    assert client.post(f"{path}/confirm").status_code == 404
    client.post(f"{path}/promote", {"reason": REASON}, content_type="application/json")
    client.force_login(UserFactory.create(roles=["admin"]))
    done = client.post(f"{path}/confirm")
    assert (done.status_code, done.json()["release"]) == (201, challenger.pk)


def test_the_list_of_releases_is_headed_releases(admin: Client, champion: Release) -> None:
    page = admin.get(reverse("admin:training_releasereview_changelist")).content.decode()
    assert "<h1>Releases</h1>" in page
