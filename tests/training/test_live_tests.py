"""Live tests: a shadow challenger is never shown, and in an A/B test a patient always stays on one arm."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from predictions.answering import services as answering_services
from predictions.answering.models import Disclosure, Prediction
from predictions.photos.facts import PhotoFacts
from predictions.releases import arms as registry
from predictions.releases import services as releases_services
from predictions.releases import serving, store
from predictions.releases.models import LiveTest, Release
from predictions.shadow import worker
from predictions.shadow.models import ShadowAnswer
from review.cases.models import ReviewCase
from review.queue import opening
from tests.factories import DatasetFactory, LabelFactory, UserFactory, jpeg_bytes
from tests.releases import make_tiny_release
from training.change_control.rules import rules
from training.comparison.models import Comparison
from training.comparison.promotable import PromotionRefused
from training.livetests import services as livetests_services
from training.livetests.report import report_on

pytestmark = pytest.mark.django_db(transaction=True)
REASON = "To see it on the photos of this clinic."


@pytest.fixture(scope="module")
def contrary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that sends every photo to a clinician, and answers the opposite on some."""
    return make_tiny_release(tmp_path_factory.mktemp("contrary") / "made", seed=3, contrary=True, band="wide")


@pytest.fixture
def challenger(champion: Release, contrary_folder: Path) -> Release:
    return store.register_release(folder=contrary_folder)


def upload(seed: int, patient: str = "", opacity: float = 0.0, source: str = "api") -> Prediction:
    data = jpeg_bytes(seed, opacity=opacity, size=160)
    return answering_services.upload_photo(data=data, user=None, source=source, facts=PhotoFacts(patient_key=patient))


def start(release: Release, kind: str = "shadow", **values: Any) -> LiveTest:
    return livetests_services.start_live_test(user=None, kind=kind, release=release, reason=REASON, **values)


# In shadow ------------------------------------------------------------------------------------------------------------
def test_a_challenger_in_shadow_scores_live_photos_and_changes_nothing(
    champion: Release, challenger: Release, settings: Any
) -> None:
    settings.AUDIT_RATE = 1e-9
    before = upload(1)
    test = start(challenger)
    live = [upload(seed, f"P-{seed}", opacity=float(seed % 2)) for seed in (2, 3, 4)]
    imported = upload(5, source="command")
    assert {prediction.release_id for prediction in live} == {champion.pk}
    asked = {prediction.pk: prediction.needs_review for prediction in Prediction.objects.all()}
    opening.open_cases()
    cases = ReviewCase.objects.count()

    assert worker.sweep() == 3
    assert worker.sweep() == 0, "each photo once"
    answers = ShadowAnswer.objects.filter(test=test)
    assert {answer.prediction_id for answer in answers} == {prediction.pk for prediction in live}
    assert not answers.filter(prediction__in=[before, imported]).exists()
    assert all(answer.needs_review and not answer.error and answer.timings for answer in answers)
    opening.open_cases()
    assert ReviewCase.objects.count() == cases, "its doubts open no case"
    assert {row.pk: row.needs_review for row in Prediction.objects.all()} == asked


def test_the_report_compares_both_on_the_same_photos(champion: Release, challenger: Release) -> None:
    test = start(challenger, photos=4)
    live = [upload(seed, opacity=float(seed % 2)) for seed in (2, 3, 4, 5)]
    LabelFactory.create(image=live[0].image, answer="normal", provenance="blind", weight=2.0)
    LabelFactory.create(image=live[1].image, provenance="after_ai", may_train=False)
    worker.sweep()
    report = report_on(test)
    assert (report["photos"], report["failed"], report["complete"]) == (4, 0, True)
    measures = {row["name"]: row for row in report["measures"]}
    assert measures["Challenger: sent to a person"]["value"] == 1.0
    assert measures["Same decision"]["n"] == 4 and 0 <= measures["Same decision"]["low"] <= 1
    assert sum(row[decision] for row in report["decisions"] for decision in Prediction.Decision.values) == 4
    assert sum(row["challenger"] for row in report["scores"]["bins"]) == 4
    assert report["latency"]["challenger"]["value"] > 0 and report["latency"]["champion"]["n"] == 4
    assert report["labelled"]["photos"] == 1, "what was answered after the AI was shown is no truth"
    assert [row["title"] for row in report["labelled"]["measures"]][:3] == ["Sensitivity", "Specificity", "ROC-AUC"]
    test.refresh_from_db()
    assert test.ended_at is not None and test.end_reason == "It has scored its 4 photos."


def test_a_photo_that_fails_is_counted_once_and_a_damaged_challenger_ends_the_test(
    champion: Release, challenger: Release
) -> None:
    test = start(challenger)
    broken, fine = upload(2), upload(3)
    Path(str(_file_of(broken))).unlink()
    assert worker.sweep() == 2
    failed = ShadowAnswer.objects.get(prediction=broken)
    assert failed.error and not failed.decision
    assert not ShadowAnswer.objects.get(prediction=fine).error
    assert report_on(test)["failed"] == 1
    (store.folder_of(challenger) / "fast.txt").write_bytes(b"tree\n")
    serving._holder = serving._Holder()  # as in a worker that has not loaded it yet
    assert worker.sweep() == 0
    test.refresh_from_db()
    assert "fast.txt is not the file that was released" in test.end_reason


def _file_of(prediction: Prediction) -> Path:
    from predictions.photos import storage

    return storage.path(prediction.image.stored_name)


# A/B ------------------------------------------------------------------------------------------------------------------
def test_one_patient_is_always_on_one_arm_and_each_answer_names_its_release(
    champion: Release, challenger: Release
) -> None:
    passed(challenger, champion)
    test = start(challenger, "ab", share=0.5)
    answered: dict[str, set[str]] = {}
    for seed in range(2, 14):
        patient = f"P-{seed % 6}"
        answered.setdefault(patient, set()).add(str(upload(seed, patient).release_id))
    assert all(len(releases) == 1 for releases in answered.values()), answered
    assert {release for releases in answered.values() for release in releases} == {champion.pk, challenger.pk}
    assert upload(50).release_id == champion.pk, "without a patient key the patient is unknown"

    report = report_on(test)
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert arms["champion"]["patients"] + arms["challenger"]["patients"] == 6
    assert arms["champion"]["photos"] + arms["challenger"]["photos"] == 12 == report["photos"]
    assert report["outside"] == 1
    assert [arm["other_release"] for arm in arms.values()] == [0, 0]

    livetests_services.stop_live_test(user=None, test=test)
    patient = next(patient for patient, releases in answered.items() if releases == {challenger.pk})
    assert upload(60, patient).release_id == champion.pk, "stopped: the next photo is the champion's"
    with pytest.raises(livetests_services.LiveTestRefused, match="has ended already: Stopped by hand"):
        livetests_services.stop_live_test(user=None, test=test)


def test_the_share_of_patients_is_as_asked(challenger: Release, champion: Release) -> None:
    test = LiveTest(kind="ab", challenger=challenger, champion=champion, share=0.2, photos=1)
    given = sum(registry.is_on_challenger(test, f"P-{number}") for number in range(5000))
    assert 900 < given < 1100  # 1000 expected, standard deviation 28
    other = LiveTest(kind="ab", challenger=challenger, champion=champion, share=0.2, photos=1)
    both = sum(
        registry.is_on_challenger(test, f"P-{n}") and registry.is_on_challenger(other, f"P-{n}") for n in range(5000)
    )
    assert 140 < both < 260, "each test draws its own patients"


def test_a_patient_keeps_the_arm_when_the_program_is_updated() -> None:
    test = LiveTest(pk="0b0e3c1e-0000-4000-8000-000000000001", kind="ab", share=0.3)
    assert [number for number in range(12) if registry.is_on_challenger(test, f"P-{number}")] == [0, 9, 11]


def test_a_damaged_challenger_in_ab_leaves_its_patients_to_the_champion(champion: Release, challenger: Release) -> None:
    passed(challenger, champion)
    test = start(challenger, "ab", share=0.5)
    (store.folder_of(challenger) / "fast.txt").write_bytes(b"tree\n")
    serving._holder = serving._Holder()
    patient = next(f"P-{n}" for n in range(99) if registry.is_on_challenger(test, f"P-{n}"))
    assert upload(2, patient).release_id == champion.pk
    assert [arm["other_release"] for arm in report_on(test)["arms"]] == [0, 1]


def test_a_promotion_ends_every_live_test(champion: Release, challenger: Release) -> None:
    test = start(challenger)
    releases_services.make_champion(release=challenger, user=None, reason="better")
    test.refresh_from_db()
    assert test.end_reason == f"Release {challenger.pk} became the champion."


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "ab"}, "State the share of patients"),
        ({"kind": "ab", "share": 0.6}, "at most 0.5"),
        ({"kind": "shadow", "photos": 0}, "State a number of photos"),
        ({"kind": "shadow", "reason": "why"}, "State the reason in at least 10 characters"),
    ],
)
def test_a_live_test_that_makes_no_sense_is_refused(challenger: Release, values: dict[str, Any], words: str) -> None:
    with pytest.raises(livetests_services.LiveTestRefused, match=words):
        livetests_services.start_live_test(user=None, release=challenger, **{"reason": REASON, **values})


def test_ab_needs_what_a_promotion_needs_and_one_test_runs_at_a_time(challenger: Release, champion: Release) -> None:
    Comparison.objects.all().delete()
    with pytest.raises(PromotionRefused, match="acknowledge"):
        start(challenger, "ab", share=0.1)
    start(challenger)
    with pytest.raises(livetests_services.LiveTestRefused, match="one runs at a time"):
        start(challenger)
    with pytest.raises(livetests_services.LiveTestRefused, match="only a challenger or a retired release"):
        start(champion)


def test_where_two_people_promote_two_people_give_a_challenger_patients(
    champion: Release, challenger: Release, settings: Any
) -> None:
    settings.PROMOTION_NEEDS_TWO = True
    passed(challenger, champion)
    asking, acting = Client(), Client()
    asking.force_login(UserFactory.create(roles=["admin"]))
    acting.force_login(UserFactory.create(roles=["admin"]))
    test = {"release": challenger.pk, "kind": "ab", "share": 0.1, "photos": 100, "reason": REASON}

    def begin(client: Client) -> Any:
        return client.post("/api/v1/live-tests", test, content_type="application/json")

    refused = begin(acting)
    assert refused.status_code == 422 and "another admin requests its promotion" in refused.json()["detail"]
    wish = {"reason": REASON}
    address = f"/api/v1/releases/{challenger.pk}/promote"
    assert asking.post(address, wish, content_type="application/json").status_code == 202
    assert begin(asking).status_code == 422, "one user cannot be both"
    page = asking.post("/admin/training/livetestreview/add/", test)
    assert page.status_code == 422 and b"another admin requests its promotion" in page.content
    assert begin(acting).status_code == 201
    assert LiveTest.objects.get().started_by == User.objects.last()
    stopped = f"/api/v1/live-tests/{LiveTest.objects.get().pk}/stop"
    assert asking.post(stopped, {}, content_type="application/json").status_code == 200, "any admin may end it"


def passed(challenger: Release, champion: Release) -> None:
    """A passed comparison. Without a test set no comparison can pass, and the plan would ask for an acknowledgement."""

    dataset = DatasetFactory.create()
    report = {"verdict": "pass", "rules": rules()["version"], "gates": [], "flips": []}
    Comparison.objects.create(challenger=challenger, champion=champion, dataset=dataset, verdict="pass", report=report)


# Over HTTP ------------------------------------------------------------------------------------------------------------
def test_an_admin_starts_reads_and_stops_a_live_test_and_is_no_blind_reader_after(
    client: Client, champion: Release, challenger: Release
) -> None:
    admin = UserFactory.create(roles=["admin"])
    client.force_login(admin)
    add = reverse("admin:training_livetestreview_add")
    assert (
        client.post(add, {"kind": "shadow", "release": challenger.pk, "photos": 9, "reason": "no"}).status_code == 422
    )
    form = {"kind": "shadow", "release": challenger.pk, "photos": 9, "reason": REASON}
    assert client.post(add, form).status_code == 302
    live = [upload(seed) for seed in range(7, 12)]
    worker.sweep()
    test = LiveTest.objects.get()
    page = client.get(reverse("admin:training_livetestreview_change", args=[test.pk])).content.decode()
    assert "5 of 9 photos scored" in page and "Same decision" in page and "<svg" in page
    differing = [a.prediction_id for a in ShadowAnswer.objects.exclude(decision="normal")]
    assert differing, "the tiny releases must differ on one of these"
    assert set(Disclosure.objects.filter(user=admin).values_list("prediction", flat=True)) == set(differing)
    assert all(prediction.decision == "normal" for prediction in live)
    assert client.post(reverse("admin:training_live_stop", args=[test.pk])).status_code == 302
    test.refresh_from_db()
    assert test.ended_by == admin and test.ended_at is not None
    assert client.get(reverse("admin:training_livetestreview_changelist")).status_code == 200


def test_the_answers_of_a_challenger_in_shadow_reach_neither_uploader_nor_reader(
    client: Client, champion: Release, challenger: Release
) -> None:
    screener, reader = UserFactory.create(roles=["screener"]), UserFactory.create(roles=["reader"])
    start(challenger)
    prediction = answering_services.upload_photo(
        data=jpeg_bytes(7, size=160), user=screener, source="upload", facts=PhotoFacts(patient_key="P-1")
    )
    worker.sweep()
    said = ShadowAnswer.objects.get()
    secret = [challenger.pk, f"{said.probability:.4f}"]
    client.force_login(screener)
    pages = [client.get(f"/results/{prediction.pk}/"), client.get("/api/v1/predictions")]
    client.force_login(reader)
    pages += [client.get("/review/"), client.get("/api/v1/review/queue"), client.get("/api/v1/live-tests")]
    assert [page.status_code for page in pages] == [200, 200, 200, 200, 403]
    assert not [word for page in pages for word in secret if word in page.content.decode()]


def test_the_api_starts_reads_and_stops_a_live_test(client: Client, champion: Release, challenger: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    body = {"kind": "shadow", "release": challenger.pk, "photos": 5, "reason": REASON}
    started = client.post("/api/v1/live-tests", body, content_type="application/json")
    assert started.status_code == 201, started.content
    again = client.post("/api/v1/live-tests", body, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (422, "live_test_refused")
    upload(2)
    worker.sweep()
    found = client.get(started["Location"]).json()
    assert (found["report"]["photos"], found["report"]["planned"]) == (1, 5)
    stopped = client.post(f"{started['Location']}/stop", {"reason": "Seen enough."}, content_type="application/json")
    assert (stopped.status_code, stopped.json()["end_reason"]) == (200, "Seen enough.")
    assert len(client.get("/api/v1/live-tests").json()["results"]) == 1


def test_a_damaged_challenger_is_refused_alike_for_a_live_test_and_for_a_promotion(
    client: Client, champion: Release, challenger: Release
) -> None:
    (store.folder_of(challenger) / "fast.txt").write_bytes(b"tree\n")
    client.force_login(UserFactory.create(roles=["admin"]))
    live = {"kind": "shadow", "release": challenger.pk, "photos": 5, "reason": REASON}
    wanted = {"reason": REASON, "acknowledge_too_few": True}
    promotion = f"/api/v1/releases/{challenger.pk}/promote"
    for address, body in (("/api/v1/live-tests", live), (promotion, wanted)):
        answer = client.post(address, body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (422, "release_damaged"), answer.content
        assert "fast.txt is not the file that was released" in answer.json()["detail"]
