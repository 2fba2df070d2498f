"""The evidence for one release as a document: a report in the order of STARD-AI (2025), and its model card.

Everything comes from stored rows and the release's own files; no model runs here.
"""

from cataract.core.documents.document import Document, Section
from predictions.releases.models import Release
from training.evidence import accuracy, record
from training.evidence.card import card_sections


def evidence_for(release: Release) -> Document:
    """The document; a section without any record says so."""
    comparison = release.comparisons.select_related("champion", "dataset").first()
    run = release.training_runs.select_related("dataset", "requested_by", "firing").first()
    points = comparison.report["points"] if comparison else []
    source = comparison.report.get("source", "") if comparison else ""
    return Document(
        title=f"Evidence for release {release.pk}",
        subtitle="Report of diagnostic accuracy in the order of STARD-AI, and model card.",
        sections=[
            Section("What it is", record.identity(release, run, comparison)),
            Section("Flow of the data", record.flow(run, comparison)),
            Section("Answers against the truth", accuracy.rates(points, source)),
            Section("Subgroups", accuracy.subgroups(comparison)),
            Section("Calibration", accuracy.calibration(points)),
            Section("Thresholds, and how they were chosen", record.thresholds(release)),
            Section("Against the champion of that day", accuracy.gates(comparison)),
            Section("Photos that it gets wrong", accuracy.errors(points)),
            Section("People and the AI, in service", record.people(release)),
            Section("Live tests and promotions", record.history(release)),
            *card_sections(release),
        ],
    )
