"""The decision page of a release, the photos behind its figures, and the timeline."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cataract.core.audit.models import Act, AuditEntry
from predictions.answering.models import Disclosure
from predictions.photos.models import EyeImage
from predictions.releases import store
from predictions.releases.models import Release
from review.cases.models import ReviewCase
from tests.factories import PredictionFactory, UserFactory
from tests.releases import make_tiny_release
from tests.training.makers import capture_published, label_photos
from training.change_control.rules import rules
from training.comparison import worker
from training.comparison.models import Comparison
from training.datasets.services import freeze_dataset
from training.promotion import decision

pytestmark = pytest.mark.django_db(transaction=True)
REASON = "Better on the photos of the new camera."


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setitem(rules()["latency"], "slack_ms", 10_000.0)  # other tests keep these cores busy
    return capture_published(monkeypatch)


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(username="admin", roles=["admin"]))
    return client


@pytest.fixture
def challenger(champion: Release, tmp_path: Path) -> Release:
    label_photos(test=2)
    freeze_dataset(user=None)
    make_tiny_release(tmp_path / "made", seed=3, name="challenger")
    release = store.register_release(folder=tmp_path / "made")
    worker.compare_with_champion(release.pk)
    return release


def page_of(client: Client, release: Release) -> str:
    return client.get(reverse("admin:training_releasereview_change", args=[release.pk])).content.decode()


def photos_of(release: Release, query: str) -> str:
    return f"{reverse('training:release-photos', args=[release.pk])}?{query}"


def test_the_verdict_is_one_sentence_above_three_plots_and_one_table(admin: Client, challenger: Release) -> None:
    page = page_of(admin, challenger)
    (headline,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page)
    assert re.fullmatch(rf"{challenger.pk} fails no gate, but \d+ gates cannot be judged yet\.", headline)
    for title in ("Sensitivity", "Specificity", "Decided without a person"):
        assert re.search(rf"<title>{title}</title><desc>Champion [^<]*n \d; Challenger [^<]*n \d</desc>", page), title
    assert page.count("Sensitivity not worse by more than 2 points") == 1, "a rule stands once, for both sets"
    assert "98 more patients with and 98 more patients without cataract would decide" in page


def test_the_card_is_rendered_and_harmless(admin: Client, challenger: Release) -> None:
    card = store.folder_of(challenger) / "card.md"
    card.write_text("# Model card\n\n| what | n |\n|---|---|\n| photos | 412 |\n\n<script>alert(1)</script>\n")
    page = page_of(admin, challenger)
    assert "<td>412</td>" in page and "|---|" not in page and "<script>alert(1)" not in page


def test_the_bar_says_what_is_missing_and_why_a_promotion_was_refused(admin: Client, challenger: Release) -> None:
    refused = admin.post(reverse("admin:training_promote", args=[challenger.pk]), {"reason": REASON})
    bar = refused.content.decode().split('id="promote"')[1]
    assert refused.status_code == 422 and "acknowledge that, or label more photos" in bar
    Comparison.objects.all().delete()
    bar = page_of(admin, challenger).split('id="promote"')[1]
    assert "a comparison with the champion" in bar and 'name="reason"' not in bar.split("</form>")[0]


def test_the_comparison_stays_on_the_page_after_the_promotion(admin: Client, challenger: Release) -> None:
    form = {"reason": REASON, "acknowledge_too_few": "on"}
    assert admin.post(reverse("admin:training_promote", args=[challenger.pk]), form).status_code == 302
    page = page_of(admin, challenger)
    assert f"{challenger.pk} is the champion" in page
    assert "Sensitivity not worse by more than 2 points" in page and "served until then" in page
    assert REASON in page and "Roll back" in page


def test_a_cell_leads_to_its_photos_and_they_are_disclosed(admin: Client, challenger: Release) -> None:
    images = [str(pk) for pk in EyeImage.objects.filter(split="test").values_list("pk", flat=True)]
    for image in images:
        PredictionFactory.create(image_id=image)
    report = Comparison.objects.get().report
    point = report["points"][0]
    query = f"side=challenger&truth={point['truth']}&said={point['decision']}"
    assert photos_of(challenger, query.replace("&", "&amp;")) in page_of(admin, challenger)
    page = admin.get(photos_of(challenger, query)).content.decode()
    assert reverse("predictions:photo", args=[point["image"], "thumb"]) in page
    assert Disclosure.objects.filter(user__username="admin", image_id=point["image"]).exists()
    other = next(each for each in report["points"] if each["truth"] != point["truth"])
    assert reverse("predictions:photo", args=[other["image"], "thumb"]) not in page
    EyeImage.objects.filter(pk=point["image"]).update(status="trashed", removed_at=timezone.now())
    assert point["image"] not in admin.get(photos_of(challenger, query)).content.decode()


def test_a_subgroup_leads_to_its_photos(admin: Client, challenger: Release) -> None:
    row = next(row for row in Comparison.objects.get().report["subgroups"] if row["group"] == "brightness")
    page = admin.get(photos_of(challenger, f"group=brightness&value={row['value']}")).content.decode()
    assert page.count('class="models-photo"') == row["n"]
    assert admin.get(photos_of(challenger, "side=nobody")).status_code == 404


def test_photos_are_sent_to_blind_readers_with_a_reason(admin: Client, challenger: Release) -> None:
    points = Comparison.objects.get().report["points"]
    image, truth = points[0]["image"], points[0]["truth"]
    address = photos_of(challenger, f"side=challenger&truth={truth}&said={points[0]['decision']}")
    assert admin.post(address, {"which": "ticked", "photos": [image], "reason": "no"}).status_code == 422
    form = {"which": "ticked", "photos": [image], "reason": "The lens looks clear to me."}
    assert admin.post(address, form).status_code == 302
    case = ReviewCase.objects.get()
    assert (str(case.image_id), case.reasons) == (image, ["suspected_label"])
    entry = AuditEntry.objects.filter(act=Act.ADMIN_CHANGED, object=challenger.pk).get()
    assert entry.detail["reason"] == form["reason"] and entry.detail["sent_to_readers"] == 1
    assert admin.post(address, form).status_code == 302
    assert ReviewCase.objects.count() == 1, "a photo that waits already is not sent twice"


@pytest.mark.parametrize(("role", "get", "post"), [("screener", 403, 403), ("reader", 403, 403), ("auditor", 200, 403)])
def test_only_admins_send_and_only_they_and_auditors_look(
    client: Client, challenger: Release, role: str, get: int, post: int
) -> None:
    client.force_login(UserFactory.create(roles=[role]))
    address = photos_of(challenger, "side=challenger&truth=normal&said=normal")
    assert client.get(address).status_code == get
    assert client.post(address, {"which": "all", "reason": REASON}).status_code == post
    assert client.get(reverse("training:timeline")).status_code == get
    assert not ReviewCase.objects.exists()


def test_the_timeline_tells_who_did_what_and_why(admin: Client, challenger: Release, champion: Release) -> None:
    admin.post(reverse("admin:training_promote", args=[challenger.pk]), {"reason": REASON, "acknowledge_too_few": "on"})
    admin.post(reverse("admin:training_rollback"), {"reason": "Readers disagree with it."})
    page = admin.get(reverse("training:timeline")).content.decode()
    assert f"{champion.pk} serves since" in page
    order = [page.index(words) for words in ("Rolled back to this release", "Promoted, in place of", "Compared with")]
    assert order == sorted(order), "newest first"
    assert REASON in page and "Readers disagree with it." in page and "too few photos to judge" in page
    assert reverse("admin:training_evidence", args=[challenger.pk]) in page


def test_the_timeline_costs_the_same_however_many_releases(
    admin: Client, challenger: Release, django_assert_max_num_queries: Any
) -> None:
    admin.get(reverse("training:timeline"))
    for number in range(8):
        Release.objects.create(id=f"old-{number}", status="retired", manifest_sha256="0" * 64, encoder="e")
    with django_assert_max_num_queries(16):
        admin.get(reverse("training:timeline"))


@pytest.mark.parametrize(
    ("verdict", "causes", "words"),
    [
        ("pass", 0, "passes every gate: it is not worse than the champion"),
        ("pass", 2, "2 photos turn from right to wrong without a cause"),
        ("too_few", 0, "1 gate cannot be judged yet"),
        ("fail", 0, "fails 1 gate and cannot be promoted"),
    ],
)
def test_the_sentence_of_each_verdict(verdict: str, causes: int, words: str) -> None:
    gates = [{"id": "CC-1", "verdict": verdict}]
    release = Release(id="new", status="challenger")
    comparison = Comparison(challenger=release, verdict=verdict, report={"gates": gates})
    assert words in decision.headline(release, comparison, open_causes=causes, has_champion=True)
