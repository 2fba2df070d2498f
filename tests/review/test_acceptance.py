"""Local acceptance over HTTP: people decide at a site until its own labels show that the AI may, side by side."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from cataract.ops.notices import worker as notices_worker
from cataract.ops.notices.models import Notice
from predictions.acceptance.models import Acceptance
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import services as releases
from predictions.releases import store
from predictions.releases.models import Release
from predictions.sites.models import Site
from review.acceptance import worker
from review.acceptance.evidence import gather, units
from review.acceptance.models import Progress, Rescore
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue import opening
from review.reading import services as reading_services
from tests.factories import (
    ClusterFactory,
    EyeImageFactory,
    LabelFactory,
    PredictionFactory,
    ReaderFactory,
    SiteFactory,
    UserFactory,
    jpeg_bytes,
)
from tests.record import lifted
from tests.releases import make_tiny_release
from tests.review.makers import read

pytestmark = pytest.mark.django_db
ENOUGH = 64  # automatic "cataract" answers without an error, for a limit of 5 % at 95 %


@pytest.fixture(autouse=True)
def accepted_only(settings: Any) -> None:
    settings.AUTO_ANSWERS = "accepted"
    settings.AUDIT_RATE = 1e-9  # no random check falls on the photos of a test


@pytest.fixture
def site(champion: Release) -> Site:
    return SiteFactory.create(name="Hillside")


def screener_of(site: Site) -> User:
    user = UserFactory.create(roles=["screener"])
    user.sites.add(site)
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, *, opacity: float) -> tuple[Prediction, str]:
    """Send a photo of a new patient from the page; returns its prediction and the text of its result page."""
    seed = 101 + EyeImage.objects.count()
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed, opacity=opacity), "image/jpeg")
    form = client.get("/upload/").context["form"]
    data = {"photo": photo, "patient_key": f"P-{seed}", "eye": "OD", "key": form["key"].value()}
    answer = client.post("/upload/", data)
    assert answer.status_code == 303, answer.content.decode()[:3000]
    page = client.get(answer["Location"]).content.decode()
    return Prediction.objects.order_by("-created_at")[0], page


def set_aside() -> None:
    """The photos that wait for a reader need none: a photo that waits holds the count."""
    opening.open_cases()
    ReviewCase.objects.filter(status="first").update(status="withdrawn")


def is_waiting(prediction: Prediction) -> bool:
    return prediction.state == Prediction.State.WAITING and prediction.reasons == ["not_accepted"]


# From photo to acceptance and back ------------------------------------------------------------------------------------
def test_people_decide_until_the_labels_of_the_site_accept_one_side(site: Site) -> None:
    client, elsewhere = logged_in(screener_of(site)), logged_in(screener_of(SiteFactory.create(name="Lakeside")))
    assert "A clinician decides on each photo." in client.get("/upload/").content.decode()
    prediction, page = send(client, opacity=1.0)
    assert is_waiting(prediction) and prediction.decision == "cataract" and prediction.review_propensity == 1
    assert "Needs a clinician." in page and "such answers are not accepted at this site yet" in page
    assert "Probably cataract." in page, "the AI advises"
    opening.open_cases()
    assert ReviewCase.objects.get(prediction=prediction).priority == 30, "read like an uncertain case"

    read(site, "cataract", "cataract", ENOUGH - 1)
    worker.judge_sites()
    assert is_waiting(send(client, opacity=1.0)[0]), "one label is missing"
    set_aside()
    read(site, "cataract", "cataract")
    worker.judge_sites()

    prediction, page = send(client, opacity=1.0)
    assert prediction.state == Prediction.State.FINAL and list(
        prediction.final_results.values_list("basis", flat=True)
    ) == ["ai"]
    assert "accepted at this site by its own labels: 0 of 64 automatic" in page
    assert is_waiting(send(client, opacity=0.0)[0]), "the other side is not accepted"
    assert "the AI answers “cataract” alone" in client.get("/upload/").content.decode()
    assert is_waiting(send(elsewhere, opacity=1.0)[0]), "another site is unaffected"


def test_the_side_of_normal_is_earned_on_eyes_with_a_cataract(site: Site, settings: Any) -> None:
    settings.AUTO_MAX_MISSED = 0.05
    client = logged_in(screener_of(site))
    read(site, "normal", "normal", 20)
    read(site, "cataract", "cataract", 60)
    read(site, "cataract", "cataract", 39, reasons=("uncertain",))
    worker.judge_sites()
    row = Progress.objects.get(side="normal")
    assert (row.n, row.errors, row.photos, row.missing) == (99, 0, 119, 1), "at least 100, however loose the limit"
    read(site, "normal", "cataract")
    worker.judge_sites()
    row = Progress.objects.get(side="normal")
    assert (row.n, row.errors) == (100, 1) and row.missing is not None and row.missing > 30
    assert is_waiting(send(client, opacity=0.0)[0])
    set_aside()
    read(site, "cataract", "cataract", row.missing)
    worker.judge_sites()
    assert send(client, opacity=0.0)[0].state == Prediction.State.FINAL


def test_errors_withdraw_it_again_and_admins_are_told(site: Site) -> None:
    client = logged_in(screener_of(site))
    read(site, "cataract", "cataract", ENOUGH)
    worker.judge_sites()
    read(site, "cataract", "cataract", 5)
    worker.judge_sites()
    assert send(client, opacity=1.0)[0].state == Prediction.State.FINAL
    notices_worker.sweep()
    assert not Notice.objects.filter(kind="acceptance_lost").exists()

    read(site, "cataract", "normal", 2)
    read(site, "cataract", "other", 1)
    worker.judge_sites()
    assert is_waiting(send(client, opacity=1.0)[0])
    notices_worker.sweep()
    notice = Notice.objects.open().get(kind="acceptance_lost")
    assert notice.detail.startswith("Hillside: “cataract”. Since it was accepted: 3 of 8")
    admin = logged_in(UserFactory.create(roles=["admin"]))
    assert "/review/acceptance/" in admin.get("/notices/").content.decode()

    set_aside()
    read(site, "cataract", "cataract", ENOUGH)
    worker.judge_sites()
    assert send(client, opacity=1.0)[0].state == Prediction.State.FINAL, "earned again, with newer photos only"
    notices_worker.sweep()
    assert not Notice.objects.open().filter(kind="acceptance_lost").exists()
    assert list(Acceptance.objects.filter(side="cataract").values_list("accepted", flat=True)) == [True, False, True]


def test_a_new_champion_earns_it_again_and_is_scored_on_test_photos(
    site: Site, champion: Release, tmp_path: Any
) -> None:
    client = logged_in(screener_of(site))
    read(site, "cataract", "cataract", ENOUGH)
    name, digest = storage.store(jpeg_bytes(3, opacity=1.0), suffix=".jpg")
    read(site, "normal", "cataract", reasons=("uncertain",), split="test", stored_name=name, sha256=digest)
    worker.judge_sites()
    assert send(client, opacity=1.0)[0].state == Prediction.State.FINAL

    folder = make_tiny_release(tmp_path / "second", seed=1, name="second")
    second = store.register_release(folder=folder)
    releases.make_champion(release=second, user=None, reason="Better.")
    assert is_waiting(send(client, opacity=1.0)[0])
    worker.judge_sites()
    assert Rescore.objects.get().answer == "cataract", "the labelled test photo was scored by the new champion"
    row = Progress.objects.get(side="cataract")
    assert (row.release, row.n, row.errors) == (second, 1, 0), "photos it may have learned from do not count"

    releases.restore_previous_champion(user=None, reason="Back.")
    assert send(client, opacity=1.0)[0].state == Prediction.State.FINAL, "what a release earned stays its own"


def test_a_worker_counts_only_sites_where_something_is_new(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SiteFactory.create(name="Lakeside")
    counted: list[str] = []

    def gather_noted(at: Site, release: Release) -> Any:
        counted.append(at.name)
        return gather(at, release)

    monkeypatch.setattr(worker, "gather", gather_noted)

    def sites_counted() -> list[str]:
        counted.clear()
        worker.judge_if_changed()
        return sorted(set(counted))

    assert sites_counted() == ["Hillside", "Lakeside"]
    assert sites_counted() == []
    read(site, "cataract", "cataract")
    assert sites_counted() == ["Hillside"] and sites_counted() == []
    assert Progress.objects.get(site=site, side="cataract").n == 1
    Progress.objects.filter(site=other).update(counted_at=timezone.now() - timedelta(hours=1))
    assert sites_counted() == ["Lakeside"]
    name, digest = storage.store(jpeg_bytes(3, opacity=1.0), suffix=".jpg")
    with lifted():
        EyeImage.objects.filter(site=site).update(split="test", stored_name=name, sha256=digest)
        Prediction.objects.all().update(mode="fast")
        Label.objects.update(created_at=timezone.now())
    worker.judge_if_changed(seconds=0)
    assert not Rescore.objects.exists(), "there was no time"
    assert sites_counted() == ["Hillside"] and Rescore.objects.count() == 1
    assert sites_counted() == ["Hillside"], "with the score"
    assert sites_counted() == []
    Progress.objects.filter(site=other).update(to_score=1)
    assert sites_counted() == ["Lakeside"] and sites_counted() == [], "what was left to score"


def test_with_release_its_own_band_decides_and_pages_say_whose_guarantee_that_is(site: Site, settings: Any) -> None:
    settings.AUTO_ANSWERS = "release"
    client, admin = logged_in(screener_of(site)), logged_in(UserFactory.create(roles=["admin"]))
    assert "clinician decides" not in client.get("/upload/").content.decode()
    prediction, page = send(client, opacity=1.0)
    assert prediction.state == Prediction.State.FINAL and prediction.reasons == []
    assert "that of the photos the release was trained and tested on" in page
    assert "decides alone from the first photo" in admin.get("/review/acceptance/").content.decode()
    release = admin.get(f"/admin/training/releasereview/{prediction.release_id}/change/").content.decode()
    assert "AUTO_ANSWERS=release" in release and "It has not been shown for your sites" in release


def test_another_mode_than_the_accepted_one_needs_a_person(site: Site) -> None:
    read(site, "cataract", "cataract", ENOUGH)
    worker.judge_sites()
    client = logged_in(screener_of(site))
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(1, opacity=1.0), "image/jpeg")
    answer = client.post("/api/v1/predictions", {"photo": photo, "patient": "P-1", "eye": "OD", "mode": "fast"})
    assert answer.json()["reasons"] == ["not_accepted"], answer.content


def test_a_site_that_tells_devices_apart_accepts_each_by_itself(site: Site) -> None:
    site.accepts_by_device = True
    site.save()
    read(site, "cataract", "cataract", ENOUGH, device_name="old phone")
    read(site, "cataract", "cataract", 3, device_name="new phone")
    worker.judge_sites()
    images = {name: EyeImage.objects.filter(device__name=name)[0] for name in ("old phone", "new phone")}

    def accepted(image: EyeImage) -> bool:
        return Acceptance.objects.is_accepted(
            site=site.pk, device=image.device_id, release=Release.objects.champions().get().pk, side="cataract"
        )

    assert accepted(images["old phone"])
    assert not accepted(images["new phone"])
    assert not accepted(EyeImageFactory.create(site=site)), "no device stated: not accepted either"
    upload = logged_in(screener_of(site)).get("/upload/").content.decode()
    assert "the AI answers “cataract” alone where it is sure, for accepted cameras." in upload
    site.accepts_by_device = False
    site.save()
    assert not accepted(images["old phone"]), "what one device earned is not the whole site's"


# By hand --------------------------------------------------------------------------------------------------------------
def test_an_admin_accepts_and_withdraws_by_hand_with_a_reason(site: Site) -> None:
    admin, client = UserFactory.create(roles=["admin"]), logged_in(screener_of(site))
    page, row = logged_in(admin), None
    worker.judge_sites()

    def decide(act: str, reason: str = "The eye clinic checked 500 photos.") -> str:
        row = Progress.objects.get(side="cataract", site=site)
        data = {"progress": row.pk, "act": act, "reason": reason}
        return page.post("/review/acceptance/decide/", data, follow=True).content.decode()

    assert "Say why: nothing was changed." in decide("accept", " ")
    assert row is None and not Acceptance.objects.exists()
    text = decide("accept")
    assert "Accepted by hand" in text and f"by {admin}, not by evidence" in text
    prediction, result = send(client, opacity=1.0)
    assert prediction.state == Prediction.State.FINAL and "by hand: The eye clinic checked" in result
    assert "by hand already" in decide("accept")

    assert "Withdrawn by hand" in decide("withdraw", "A new camera.")
    read(site, "cataract", "cataract", ENOUGH)
    worker.judge_sites()
    assert is_waiting(send(client, opacity=1.0)[0]), "the evidence does not overrule a person"
    decide("count", "The camera is known now.")
    set_aside()
    worker.judge_sites()
    assert is_waiting(send(client, opacity=1.0)[0]), "counted again from here on"
    with pytest.raises(DatabaseError), transaction.atomic():
        Acceptance.objects.update(accepted=True)


def test_what_was_accepted_by_hand_is_watched(site: Site) -> None:
    worker.judge_sites()
    row = Progress.objects.get(side="cataract", site=site)
    admin = logged_in(UserFactory.create(roles=["admin"]))
    admin.post("/review/acceptance/decide/", {"progress": row.pk, "act": "accept", "reason": "Tried elsewhere."})
    read(site, "cataract", "normal", 3)
    worker.judge_sites()
    assert Acceptance.objects.latest("at").accepted is False


def test_who_sees_what(site: Site) -> None:
    other = SiteFactory.create(name="Lakeside")
    read(site, "cataract", "cataract", 2)
    read(other, "cataract", "normal", 2)
    worker.judge_sites()
    client = logged_in(screener_of(site))
    page = client.get("/review/acceptance/").content.decode()
    assert "Hillside" in page and "Lakeside" not in page and "Accept by hand" not in page
    assert "Missing: 62 more automatic “cataract” answers without an error." in page
    row = Progress.objects.get(side="cataract", site=site)
    data = {"progress": row.pk, "act": "accept", "reason": "I want it."}
    assert client.post("/review/acceptance/decide/", data).status_code == 403
    assert client.post("/review/acceptance/count/").status_code == 403
    assert logged_in(ReaderFactory.create()).get("/review/acceptance/").status_code == 403
    auditor = logged_in(UserFactory.create(roles=["auditor"])).get("/review/acceptance/").content.decode()
    assert "Lakeside" in auditor and "Accept by hand" not in auditor
    assert (
        "Accept by hand" in logged_in(UserFactory.create(roles=["admin"])).get("/review/acceptance/").content.decode()
    )

    answer = client.get("/api/v1/acceptance").json()
    assert answer["auto_answers"] == "accepted"
    side = next(side for side in answer["sides"] if side["side"] == "cataract")
    assert side["site"] == "Hillside" and side["device"] is None and side["accepted"] is False
    assert (side["n"], side["errors"], side["missing"], side["limit"]) == (2, 0, 62, 0.05)
    assert {side["site"] for side in answer["sides"]} == {"Hillside"}


def test_the_command_counts_now_and_prints_it(site: Site, capsys: Any) -> None:
    read(site, "cataract", "normal", 2)
    call_command("acceptance")
    printed = capsys.readouterr().out
    assert "Hillside, “cataract”, tiny" in printed or "Hillside, “cataract”, " in printed
    assert "2 of 2 automatic “cataract” answers were wrong" in printed


# What counts as evidence ----------------------------------------------------------------------------------------------
def counted(site: Site, side: str = "cataract") -> list[bool]:
    return [unit.is_error for unit in units(gather(site, Release.objects.champions().get()).photos, side)]


def test_one_photo_for_each_patient_and_only_what_was_chosen_before_the_answer_was_known(site: Site) -> None:
    (first,) = read(site, "cataract", "cataract")
    cluster = first.image.cluster
    read(site, "cataract", "normal", cluster=cluster)
    read(site, "cataract", "normal", reasons=(), propensity=0.05)  # not drawn: a label that somebody asked for later
    LabelFactory.create(image=PredictionFactory.create(
        image=EyeImageFactory.create(site=site), needs_review=False, reasons=[], review_propensity=0.05,
        release=first.release,
    ).image, answer="normal", provenance="blind")  # fmt: skip
    read(site, "cataract", "normal", withdrawn_at=timezone.now())
    read(site, "cataract", "normal", provenance="imported")
    assert counted(site) == [False]


def test_a_random_check_counts_for_many(site: Site) -> None:
    read(site, "cataract", "normal", reasons=("audit_sample",), propensity=0.05)
    (unit,) = units(gather(site, Release.objects.champions().get()).photos, "cataract")
    assert unit.is_error and unit.weight == pytest.approx(20) and unit.error_weight == pytest.approx(20)


def test_photos_count_in_order_up_to_the_first_that_waits_for_its_reader(site: Site) -> None:
    read(site, "cataract", "cataract", 3)
    waiting = PredictionFactory.create(image=EyeImageFactory.create(site=site), release=Release.objects.get())
    opening.open_cases()
    read(site, "cataract", "cataract", 2)
    evidence = gather(site, Release.objects.get())
    assert len(evidence.photos) == 3 and evidence.waiting == 1
    with lifted():
        Prediction.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(days=31))
    assert len(gather(site, Release.objects.get()).photos) == 5, "after a month it is left out"


def test_a_reader_who_gives_way_to_the_ai_counts_as_an_error_until_a_second_one_has_read_it(site: Site) -> None:
    prediction = PredictionFactory.create(
        image=EyeImageFactory.create(site=site),
        release=Release.objects.get(),
        decision="normal",
        reasons=["not_accepted"],
    )
    opening.open_cases()
    case = ReviewCase.objects.get(prediction=prediction)
    reading = reading_services.store_blind_answer(case=case, reader=ReaderFactory.create(), answer="cataract")
    assert counted(site, "normal") == [True], "differs and is not settled"
    reading_services.store_final_answer(reading=reading, answer="normal")
    assert Label.objects.standing().get().provenance == "after_ai"
    assert counted(site, "normal") == [True]

    worker.judge_sites()
    again = ReviewCase.objects.exclude(pk=case.pk).get()
    assert again.image == case.image and again.status == "first", "read again, blind"
    worker.judge_sites()
    assert ReviewCase.objects.count() == 2, "once"
    reading_services.store_blind_answer(case=again, reader=ReaderFactory.create(), answer="normal")
    assert Label.objects.standing().get().provenance == "blind"
    assert counted(site, "normal") == [] and Reading.objects.count() == 2


def test_photos_that_the_release_may_have_learned_from_count_only_in_the_test_split(site: Site) -> None:
    before = Release.objects.get().created_at - timedelta(days=1)
    for split in ("train", "calibration", "test"):
        read(site, "cataract", "cataract", split=split, created_at=before)
    read(site, "cataract", "cataract", split="excluded", cluster=ClusterFactory.create(split="test"), created_at=before)
    assert counted(site) == [False]
