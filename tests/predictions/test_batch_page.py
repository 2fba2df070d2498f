"""The batch pages work with plain forms; automatic refreshing stops when the batch is done."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from predictions.answering.models import Disclosure, FinalResult
from predictions.batches import views, worker
from predictions.batches.models import Batch, BatchItem
from predictions.batches.results import Group, in_group, items_with_results
from predictions.results.wording import describe
from tests.factories import PredictionFactory, SiteFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/batches/"


@pytest.fixture
def screener(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)
    client.force_login(UserFactory.create(roles=["screener"]))
    return client


def form_of(client: Client) -> dict[str, str]:
    page = client.get(URL).content.decode()
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found
    return {"key": found.group(1), "may_train": "on"}


def photo(seed: int = 1, name: str = "a.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, jpeg_bytes(seed))


def test_photos_are_sent_watched_and_fetched(screener: Client, champion: Any) -> None:
    form: dict[str, Any] = form_of(screener)
    answer = screener.post(URL, {**form, "photos": [photo(1), photo(2, "<b>.jpg")], "eye": "OD"})
    batch = Batch.objects.get()
    address = f"{URL}{batch.pk}/"
    assert answer.status_code == 303 and answer["Location"] == address
    running = screener.get(address).content.decode()
    assert "hx-get" in running and "http-equiv" in running and "0 of 2 files" in running
    part = screener.get(address, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith("<div") and "asked=1" in part
    assert "hx-get" not in screener.get(address, {"asked": "300"}).content.decode()
    worker.run_batch(batch.pk)
    done = screener.get(address).content.decode()
    assert "hx-get" not in done and "2 of 2 files" in done and "&lt;b&gt;.jpg" in done and "<b>.jpg" not in done
    assert screener.get(f"{address}results.csv").status_code == 200
    assert "2 stored" in screener.get(URL).content.decode()


def test_it_is_cancelled_and_resumed_with_buttons(screener: Client) -> None:
    screener.post(URL, {**form_of(screener), "photos": [photo()]})
    address = f"{URL}{Batch.objects.get().pk}/"
    assert "Cancel remaining files" in screener.get(address).content.decode()
    assert "Resume" in screener.post(f"{address}cancel/", follow=True).content.decode()
    assert "Cancel remaining files" in screener.post(f"{address}resume/", follow=True).content.decode()


def test_what_was_wrong_stands_on_the_form(screener: Client, settings: Any) -> None:
    site, _ = SiteFactory.create(name="Clinic 7"), SiteFactory.create(name="Clinic 8")
    form = form_of(screener)
    table = SimpleUploadedFile("t.csv", b"file,eye\na.jpg,middle\n")
    answer = screener.post(URL, {**form, "photos": [photo()], "table": table, "site": site.pk})
    page = answer.content.decode()
    assert answer.status_code == 422 and "row 2" in page and "neither OD nor OS" in page
    assert f'value="{site.pk}" selected' in page
    form["site"] = str(site.pk)
    assert screener.post(URL, form).status_code == 400
    many = [SimpleUploadedFile(f"{number}.jpg", b"x") for number in range(101)]
    answer = screener.post(URL, {**form, "photos": many})
    assert answer.status_code == 413 and "as one ZIP" in answer.content.decode()
    settings.MAX_BATCH_BYTES = 1000
    answer = screener.post(URL, {**form, "photos": [photo()]})
    assert answer.status_code == 413 and "limit for one batch" in answer.content.decode()
    assert not Batch.objects.exists()


def test_the_form_needs_its_token(champion: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory.create(roles=["screener"]))
    assert strict.post(URL, {"photos": [photo()]}).status_code == 403
    assert not Batch.objects.exists()


def test_strangers_see_nothing(screener: Client) -> None:
    screener.post(URL, {**form_of(screener), "photos": [photo()]})
    address = f"{URL}{Batch.objects.get().pk}/"
    other = Client()
    other.force_login(UserFactory.create(roles=["screener"]))
    assert other.get(address).status_code == other.post(f"{address}cancel/").status_code == 404
    assert Client().get(address).status_code == 302
    reader = Client()
    reader.force_login(UserFactory.create(roles=["reader"]))
    assert reader.get(URL).status_code == 403


def test_what_a_stranger_sends_is_never_received(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[object] = []
    monkeypatch.setattr(views, "SpoolHandler", received.append)
    response = client.post(URL, {"photos": SimpleUploadedFile("a.zip", b"PK" * 1000)})
    assert response.status_code == 302 and "/accounts/login/" in response.headers["Location"]
    assert not received


# The summary ----------------------------------------------------------------------------------------------------------
def answered(**values: Any) -> tuple[Group, bool, dict[str, Any]]:
    return values.pop("group"), values.pop("pending", False), values


DONE: list[tuple[Group, bool, dict[str, Any]]] = [
    answered(group=Group.CATARACT, pending=False, decision="cataract", needs_review=False, reasons=[], ai="final"),
    answered(group=Group.CLINICIAN, pending=True, decision="cataract"),
    answered(group=Group.CATARACT, decision="cataract", reasons=["audit_sample"], ai="provisional"),
    answered(group=Group.NORMAL, decision="normal", needs_review=False, reasons=[], ai="final"),
    answered(group=Group.NORMAL, decision="normal", reasons=["audit_sample"], ai="provisional"),
    answered(group=Group.CLINICIAN, pending=True, decision="normal"),
    answered(group=Group.CLINICIAN, pending=True, decision="normal", reasons=["audit_sample", "uncertain"]),
    answered(group=Group.CLINICIAN, pending=True, decision=""),
    answered(group=Group.UNGRADABLE, pending=True, decision="ungradable"),
    answered(group=Group.CATARACT, decision="normal", people="cataract"),
    answered(group=Group.NORMAL, decision="", people="normal"),
    answered(group=Group.UNGRADABLE, decision="cataract", people="ungradable"),
    answered(group=Group.UNGRADABLE, decision="cataract", people="not_an_eye"),
    answered(group=Group.OTHER, decision="cataract", people="other"),
    answered(group=Group.IN_PROGRESS, status="queued"),
    answered(group=Group.CLINICIAN, pending=True, status="failed", decision=""),
]


def filled_batch(user: User) -> Batch:
    """A finished batch with a file for each row of DONE, one that another user had sent, and one refused file."""
    batch = Batch.objects.create(
        requested_by=user, total=len(DONE) + 2, source="upload", status="done", done_at=timezone.now(), name="Tuesday"
    )
    for position, (_, _, values) in enumerate(DONE):
        values = dict(values)
        ai, people = values.pop("ai", ""), values.pop("people", "")
        if values.get("status") == "queued":
            values |= {"decision": "", "done_at": None, "needs_review": False, "reasons": [], "review_propensity": None}
        prediction = PredictionFactory.create(image__uploaded_by=user, **values)
        if ai or people:
            FinalResult.objects.create(
                prediction=prediction,
                answer=people or prediction.decision,
                basis="double" if people else "ai",
                status=ai or "final",
                contradicts_ai=False,
            )
        item = {"name": f"{position}.jpg", "status": "stored", "prediction": prediction}
        BatchItem.objects.create(batch=batch, position=position, **item)
    other = PredictionFactory.create(image__uploaded_by=UserFactory.create(), decision="cataract")
    BatchItem.objects.create(batch=batch, position=98, name="98.jpg", status="known", prediction=other)
    BatchItem.objects.create(batch=batch, position=99, name="99.jpg", status="refused", code="blank", message="Empty.")
    return batch


def files_on(page: str) -> set[int]:
    return {int(number) for number in re.findall(r">(\d+)\.jpg<", page)}


def test_a_batch_is_summed_up_by_answer_and_filtered(client: Client) -> None:
    user = UserFactory.create(roles=["screener"])
    client.force_login(user)
    batch = filled_batch(user)
    address = f"{URL}{batch.pk}/"
    page = client.get(address).content.decode()
    assert "Tuesday" in page and files_on(page) == {*range(len(DONE)), 98, 99}
    groups = {group: {place for place, row in enumerate(DONE) if row[0] == group} for group in Group}
    groups[Group.REFUSED], groups[Group.ALREADY_SENT] = {99}, {98}
    for group, places in groups.items():
        if places:
            assert f"{group.label}: {len(places)}" in page
        shown = client.get(address, {"show": group.value}).content.decode()
        assert files_on(shown) == places, group
        assert re.search(rf'show={group.value}"[^>]*aria-current="true"', shown)
    pending = {place for place, row in enumerate(DONE) if row[1]}
    assert f"Waiting for a clinician: {len(pending)}" in page
    shown = client.get(address, {"show": "pending"}).content.decode()
    assert files_on(shown) == pending and shown.count("Clinician review pending") == len(pending)
    assert page.count("Clinician review pending") == len(pending)
    assert files_on(client.get(address, {"show": "anything"}).content.decode()) == {*range(len(DONE)), 98, 99}


def test_a_filter_stays_while_the_page_refreshes_and_turns(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_PAGE_SIZE", 2)
    user = UserFactory.create(roles=["screener"])
    client.force_login(user)
    batch = filled_batch(user)
    Batch.objects.update(status="running", done_at=None)
    part = client.get(f"{URL}{batch.pk}/", {"show": "clinician"}, headers={"HX-Request": "true"}).content.decode()
    assert "asked=1&amp;page=1&amp;show=clinician" in part and re.search(r"show=clinician&amp;page=2", part)


def test_every_group_agrees_with_the_words_of_its_rows(client: Client) -> None:
    """What the database sums up is what each row says."""
    user = UserFactory.create(roles=["screener"])
    batch = filled_batch(user)
    for group in (Group.CATARACT, Group.NORMAL, Group.UNGRADABLE):
        for item in in_group(items_with_results(batch), group):
            assert item.prediction is not None and describe(item.prediction).decision == group.value
    for group, decision in ((Group.CLINICIAN, ""), (Group.OTHER, "warning")):
        for item in in_group(items_with_results(batch), group):
            assert item.prediction is not None and describe(item.prediction).decision == decision


def test_whoever_sees_the_sums_has_seen_the_answers(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_PAGE_SIZE", 2)
    batch = filled_batch(UserFactory.create(roles=["screener"]))
    admin = UserFactory.create(roles=["admin"])
    client.force_login(admin)
    client.get(f"{URL}{batch.pk}/", {"show": "refused"})
    answers = {place for place, row in enumerate(DONE) if row[2].get("decision", "-") or "people" in row[2]}
    answers -= {place for place, row in enumerate(DONE) if row[0] == Group.IN_PROGRESS}
    seen = set(Disclosure.objects.filter(user=admin).values_list("prediction", flat=True))
    items = {item.position: item.prediction_id for item in batch.items.exclude(prediction=None)}
    assert seen == {items[place] for place in answers}, "and the photo of another sender is not among them"
    assert client.get(f"{URL}{batch.pk}/").status_code == 200


def test_the_page_of_a_large_batch_needs_no_more_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    user = UserFactory.create(roles=["screener"])
    client.force_login(user)
    batch = filled_batch(user)
    with django_assert_max_num_queries(25):
        client.get(f"{URL}{batch.pk}/")


# Refused files again --------------------------------------------------------------------------------------------------
def sent_with_errors(client: Client) -> str:
    """The address of a finished ZIP batch with good.jpg and the refused files OD/bad.jpg and OS/worse.jpg."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.jpg", jpeg_bytes(1))
        archive.writestr("OD/bad.jpg", b"no photo")
        archive.writestr("OS/worse.jpg", b"")
        archive.writestr("t.csv", "file,patient,eye\nbad.jpg,P-1,OS\n")
    archive_file = SimpleUploadedFile("a.zip", buffer.getvalue())
    answer = client.post(URL, {**form_of(client), "archive": archive_file})
    assert answer.status_code == 303, answer.content
    worker.run_batch(Batch.objects.get().pk)
    return str(answer["Location"])


def test_refused_files_are_sent_again_into_the_same_batch(screener: Client, champion: Any, settings: Any) -> None:
    address = sent_with_errors(screener)
    page = screener.get(address).content.decode()
    assert "1 stored, 0 already sent, 2 refused" in page and "Send refused files again" in page
    answer = screener.post(f"{address}retry/", {"photos": [photo(2, "bad.jpg")]})
    assert answer.status_code == 302 and answer["Location"] == address
    running = screener.get(address).content.decode()
    assert "1 waiting" in running and "Send refused files again" not in running
    worker.run_batch(Batch.objects.get().pk)
    done = screener.get(address).content.decode()
    assert "2 stored, 0 already sent, 1 refused" in done and "Done." in done
    item = BatchItem.objects.get(name="OD/bad.jpg")
    assert (item.status, item.code, item.message) == ("stored", "", "")
    assert item.prediction is not None
    assert (item.prediction.image.patient_key, item.prediction.image.eye) == ("P-1", "OS")
    assert not [path for path in Path(settings.BATCH_DIR).rglob("*") if path.is_file()]
    screener.post(f"{address}retry/", {"photos": [photo(3, "worse.jpg")]})
    worker.run_batch(Batch.objects.get().pk)
    assert "3 stored, 0 already sent, 0 refused" in screener.get(address).content.decode()


def test_a_file_that_is_refused_again_says_why(screener: Client, champion: Any) -> None:
    address = sent_with_errors(screener)
    screener.post(f"{address}retry/", {"photos": [SimpleUploadedFile("worse.jpg", b"%PDF-1.7")]})
    worker.run_batch(Batch.objects.get().pk)
    item = BatchItem.objects.get(name="OS/worse.jpg")
    assert (item.status, item.code) == ("refused", "type_not_accepted")
    assert "PDF is not accepted" in screener.get(address).content.decode()


def test_what_cannot_be_sent_again_is_refused_in_words(screener: Client, champion: Any, settings: Any) -> None:
    address = sent_with_errors(screener)
    cases: list[tuple[list[SimpleUploadedFile], int, str]] = [
        ([], 400, "Choose the photos"),
        ([photo(2, "good.jpg")], 422, "good.jpg: no refused file of this batch has this name."),
        ([photo(2, "bad.jpg"), photo(3, "bad.jpg")], 422, "sent twice"),
        ([photo(2, "bad.jpg"), photo(3, "other.jpg")], 422, "other.jpg"),
        ([SimpleUploadedFile(f"{number}.jpg", b"x") for number in range(101)], 413, "as one ZIP"),
    ]
    for photos, status, words in cases:
        answer = screener.post(f"{address}retry/", {"photos": photos})
        assert answer.status_code == status and words in answer.content.decode(), words
        assert set(BatchItem.objects.values_list("status", flat=True)) == {"stored", "refused"}
    settings.MAX_BATCH_BYTES = 1000
    answer = screener.post(f"{address}retry/", {"photos": [photo(2, "bad.jpg")]})
    assert answer.status_code == 413 and "limit for one batch" in answer.content.decode()
    settings.MAX_BATCH_BYTES = 10_000_000
    screener.post(f"{address}retry/", {"photos": [photo(2, "bad.jpg")]})
    late = screener.post(f"{address}retry/", {"photos": [photo(3, "worse.jpg")]})
    assert late.status_code == 409 and "not done" in late.content.decode()
    files = [path.name for path in (Path(settings.BATCH_DIR) / str(Batch.objects.get().pk)).iterdir()]
    assert files == ["again-1"], "and nothing of the refused ones is kept"
    other = Client()
    other.force_login(UserFactory.create(roles=["screener"]))
    assert other.post(f"{address}retry/", {"photos": [photo(3, "worse.jpg")]}).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(Batch.objects.get().requested_by)
    assert strict.post(f"{address}retry/", {"photos": [photo(3, "worse.jpg")]}).status_code == 403


def test_a_batch_that_is_done_is_not_resumed(screener: Client, champion: Any) -> None:
    address = sent_with_errors(screener)
    screener.post(f"{address}resume/")
    assert Batch.objects.get().status == "done"


def test_the_results_open_right_in_a_spreadsheet(screener: Client, champion: Any) -> None:
    screener.post(URL, {**form_of(screener), "photos": [photo(1, "M\u00fcller.jpg")], "eye": "OD", "name": "First day"})
    batch = Batch.objects.get()
    assert batch.name == "First day" and "First day" in screener.get(URL).content.decode()
    worker.run_batch(batch.pk)
    data = b"".join(screener.get(f"{URL}{batch.pk}/results.csv"))
    assert data.startswith(b"\xef\xbb\xbffile,status") and data.count(b"\xef\xbb\xbf") == 1
    assert "M\u00fcller.jpg,stored" in data.decode()
