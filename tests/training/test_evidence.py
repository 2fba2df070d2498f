"""The evidence for a release: a page and a PDF that say the same, for admins and auditors."""

import io
from pathlib import Path
from xml.dom import minidom

import pytest
from django.test import Client
from django.urls import reverse

from cataract.core.documents.document import Points, Table
from predictions.releases import store
from predictions.releases.models import Release
from tests.factories import UserFactory
from tests.releases import make_tiny_release
from tests.training.makers import label_photos
from training.change_control.rules import rules
from training.comparison import worker
from training.comparison.chart_files import write_charts
from training.datasets.services import freeze_dataset
from training.evidence.card import sections_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def compared(champion: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A challenger that was compared on eight synthetic eyes, one of which it gets wrong."""
    monkeypatch.setitem(rules()["since"], "max_photos", 4)
    label_photos(test=4)
    freeze_dataset(user=None)
    folder = make_tiny_release(tmp_path / "made", seed=3, contrary=True, band="wide", name="challenger")
    release = store.register_release(folder=folder)
    worker.compare_with_champion(release.pk)
    return release


def text_of(pdf: bytes) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_the_page_and_the_pdf_say_the_same(client: Client, compared: Release) -> None:
    client.force_login(UserFactory.create(roles=["auditor"]))
    page = client.get(reverse("admin:training_evidence", args=[compared.pk]))
    assert page.status_code == 200
    html = page.content.decode()
    file = client.get(reverse("admin:training_evidence_pdf", args=[compared.pk]))
    assert (file.status_code, file["Content-Type"]) == (200, "application/pdf")
    assert f'filename="evidence-{compared.pk}.pdf"' in file["Content-Disposition"]
    pdf = text_of(file.content)
    for words in (
        "Flow of the data",
        "8 test photos answered by this release",
        "Answers against the truth",
        "Positive predictive value",
        "all labelled test photos; each counts for 1 / the probability with which it was read",
        "n 8",
        "Calibration",
        "Decided without a person",
        "At most 1 % of all cataracts would leave as normal unseen (95 % confidence; 0 of 312 here).",
        "At most 5 % of the automatic cataract answers would be wrong.",
        "CC-1 Sensitivity not worse by more than 2 points",
        "of 8 test photos; the surest",
        "Overruled the AI",
        "A release for tests",
    ):
        assert words in html, words
        assert "".join(words.split()) in "".join(pdf.split()), words
    assert html.count('<svg class="chart"') == 2 and "<style" not in html.split("training-evidence")[1]
    assert (
        reverse("admin:training_evidence", args=[compared.pk])
        in client.get(reverse("admin:training_releasereview_change", args=[compared.pk])).content.decode()
    )


def test_both_promises_stand_beside_the_release(client: Client, compared: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get(reverse("admin:training_releasereview_change", args=[compared.pk])).content.decode()
    rows = {row["id"]: row for row in client.get("/api/v1/releases").json()["results"]}
    assert len(compared.promises) == 2 and rows[compared.pk]["promises"] == compared.promises
    assert all(f"<li>{sentence}</li>" in page for sentence in compared.promises)
    figures = compared.comparisons.get().report["figures"]["champion"]
    assert figures["auto_wrong"] == figures["auto_missed"] + figures["auto_false_alarms"]
    assert f"champion {figures['auto_decided']} (" in page and "cataracts missed, " in page


def test_a_release_of_an_older_version_says_that_it_limits_no_missed_cataracts(
    client: Client, champion: Release
) -> None:
    policy = {key: value for key, value in champion.manifest["policy"].items() if key not in ("normal", "cataract")}
    old = policy | {"target_error": 0.05, "bound": 0.041, "errors": 1, "message": "85% are decided without a person."}
    Release.objects.filter(pk=champion.pk).update(manifest=champion.manifest | {"policy": old})
    client.force_login(UserFactory.create(roles=["admin"]))
    for address in (
        reverse("admin:training_evidence", args=[champion.pk]),
        reverse("admin:training_releasereview_change", args=[champion.pk]),
        "/api/v1/releases",
    ):
        html = client.get(address).content.decode()
        assert "85% are decided without a person." in html and "sets no limit on missed cataracts" in html, address


def test_a_release_of_which_nothing_is_known_says_so(client: Client, champion: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    html = client.get(reverse("admin:training_evidence", args=[champion.pk])).content.decode()
    assert "It was not made from labels of this installation" in html
    assert "It has not been compared with another release on the labelled photos here yet." in html
    assert "The champion of this test." in html, "its promotion"
    file = client.get(f"/api/v1/releases/{champion.pk}/evidence.pdf")
    assert file.status_code == 200 and file.content.startswith(b"%PDF-")


@pytest.mark.parametrize("role", ["screener", "reader", "integrator"])
def test_others_do_not_see_the_evidence(client: Client, champion: Release, role: str) -> None:
    client.force_login(UserFactory.create(roles=[role]))
    for name in ("training_evidence", "training_evidence_pdf"):
        assert client.get(reverse(f"admin:{name}", args=[champion.pk])).status_code in (302, 403)
    assert client.get(f"/api/v1/releases/{champion.pk}/evidence.pdf").status_code == 403


def test_a_model_card_becomes_headings_lists_and_tables() -> None:
    card = "# Model card\n\nTwo\nlines.\n\n## Data\n\n- one\n  goes on\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    first, second = sections_of(card)
    assert (first.title, second.title) == ("Model card", "Data")
    points, table = second.blocks
    assert isinstance(points, Points) and list(points.points) == ["one goes on", "two"]
    assert isinstance(table, Table) and (table.head, table.rows) == (["a", "b"], [["1", "2"]])


def test_the_charts_for_mlflow_are_files_of_their_own(tmp_path: Path) -> None:
    counts = {"cataract": {"cataract": 2, "normal": 1, "ungradable": 0}}
    points = [{"truth": truth, "probability": p} for truth, p in (("cataract", 0.9), ("normal", 0.2), ("normal", None))]
    report = {"figures": {"challenger": {"confusion": counts}}, "points": points}
    write_charts(tmp_path / "all", report)
    write_charts(tmp_path / "one", {**report, "points": points[:1]})
    names = {"confusion", "roc", "precision-recall", "calibration", "risk-coverage"}
    assert {path.stem for path in (tmp_path / "all").glob("*.svg")} == names
    assert {path.stem for path in (tmp_path / "one").glob("*.svg")} == {"confusion"}
    for path in (tmp_path / "all").iterdir():
        minidom.parse(str(path))
