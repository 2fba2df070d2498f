"""The recorded facts about a release: its origin, data flow, thresholds, use and history."""

from collections.abc import Sequence
from typing import Any

from cataract.core import charts
from cataract.core.documents.document import Block, Chart, Paragraph, Points, Table, interval, number
from predictions.photos.models import EyeImage
from predictions.releases.models import LiveTest, Release
from review.agreement import in_service
from review.agreement import report as agreement_report
from review.agreement.estimates import Measure
from training.comparison.models import Comparison
from training.datasets.models import Dataset
from training.evidence.accuracy import DECISION_WORDS
from training.runs.models import TrainingRun

Level = list[list[str]]  # the boxes of one row of the flow, each a list of lines


def identity(release: Release, run: TrainingRun | None, comparison: Comparison | None) -> list[Block]:
    """The release, its encoder, its code, its run and its verdict."""
    manifest = release.manifest
    encoder = manifest.get("encoder", {})
    rows = [
        ("State", release.get_status_display()),
        ("Made", str(manifest.get("created_at", release.created_at))),
        ("Encoder", f"{encoder.get('arch', '-')}, {release.encoder[:12]}, {encoder.get('image_size', '-')} px"),
        ("Retrained from", manifest.get("base") or "nothing: trained from the start"),
        ("Code", manifest.get("code_commit") or "not recorded"),
        ("Manifest (sha256)", release.manifest_sha256),
    ]
    if run is not None:
        rows += [("Training run", f"{run.pk}, started by {run.asked_for_by}: {run.reason or 'no reason stated'}")]
        rows += [("Dataset", run.dataset_id), ("Seed", str(run.seed))]
    if comparison is not None:
        plan = f"the change-control plan {comparison.report['rules']}: {comparison.get_verdict_display()}"
        rows += [("Judged by", plan)]
    return [Table("", ["fact", "on record"], rows)]


def flow(run: TrainingRun | None, comparison: Comparison | None) -> list[Block]:
    """The flow of the data, from the stored photos to the decisions on the test photos."""
    dataset = comparison.dataset if comparison else run.dataset if run else None
    if dataset is None:
        return [
            Paragraph("It was not made from labels of this installation; its model card says what it was fitted on.")
        ]
    stored = EyeImage.objects.filter(created_at__lte=dataset.created_at).count()
    labelled = sum(sum(row.values()) for row in dataset.counts.values())
    levels = [
        [[f"{stored} photos stored when the data was frozen"]],
        *_dataset_levels(dataset, labelled),
        *(_test_levels(comparison.report) if comparison else []),
    ]
    chart = charts.flow("The flow of the data, from photos to answers", levels)
    return [
        Chart(chart, "With and without: cataract, by the confirmed label."),
        Paragraph(
            f"Calibration photos: {dataset.calibration_source}. Test photos in the dataset: {dataset.test_source}. "
            "Patients that are always read are drawn before any answer, so their photos describe all photos that come "
            "in. A comparison takes every labelled test photo of its day."
        ),
        Paragraph(
            f"{stored - labelled} photos had no label that may be used: none yet, no consent, or another finding."
        ),
    ]


def _dataset_levels(dataset: Dataset, labelled: int) -> list[Level]:
    splits = [
        [f"{split}: {sum(row.values())}", f"{row.get('cataract', 0)} with, {row.get('normal', 0)} without"]
        for split, row in dataset.counts.items()
    ]
    return [[[f"{labelled} with a confirmed label", f"dataset {dataset.pk[:12]}"]], splits]


def _test_levels(report: dict[str, Any]) -> list[Level]:
    n, table = report["n"], report["figures"]["challenger"]["confusion"]
    decisions = [
        [
            f"{words}: {sum(row[decision] for row in table.values())}",
            f"{table['cataract'][decision]} with, {table['normal'][decision]} without",
        ]
        for decision, words in DECISION_WORDS.items()
    ]
    return [
        [[f"{n['unseen']} test photos answered by this release", f"{n['seen']} more left out: seen in a training"]],
        decisions,
    ]


def thresholds(release: Release) -> list[Block]:
    """The policy in the manifest, in words."""
    policy = release.manifest.get("policy", {})
    if not policy:
        return [Paragraph("The manifest holds no policy.")]
    auto, band = policy["auto"], policy["fast_band"]
    return [
        Points(
            [
                f"Decided without a person: no cataract below {number(auto['normal_below'])}, cataract above "
                f"{number(auto['cataract_above'])}; a person reads the photos between them.",
                f"The accurate model runs where the fast one says {number(band['low'])} to {number(band['high'])}; "
                f"its weight in the final log-odds is {policy['accurate_weight']:g}.",
                "The two models disagree when they stand on opposite sides of 0.5, both by more than "
                f"{policy['disagreement_margin']:g}: then a person reads the photo.",
                *release.promises,
                f"Found on {policy['n']} photos, of which {policy['coverage']:.0%} are answered without a person: "
                f"{policy.get('calibrated_on', 'the calibration split')}.",
            ]
        )
    ]


def people(release: Release) -> list[Block]:
    """How readers and the AI agree in service."""
    chosen = [row for row in in_service.rows() if row.release == release.pk]
    agreement = agreement_report.report()
    return [
        _measures(
            f"This release in service ({len(chosen)} of its answers were chosen for reading)",
            in_service.measures(chosen),
        ),
        Paragraph(in_service.source(chosen)),
        _measures("When readers were shown that the AI differs (all releases)", agreement.differed.measures),
        _measures("Agreement with the AI, read blind and shown first (all releases)", agreement.anchoring),
        _measures("Between readers", agreement.between),
    ]


def history(release: Release) -> list[Block]:
    """The live tests of the release and its promotions."""
    tests = [
        f"{test.started_at:%Y-%m-%d}: {test.get_kind_display()}. {test.end_reason or 'Running.'}"
        for test in LiveTest.objects.filter(challenger=release)
    ]
    promotions = [
        f"{row.created_at:%Y-%m-%d %H:%M}: {'rolled back to' if row.is_rollback else 'promoted'} by "
        f"{row.promoted_by or 'the command line'}, in place of {row.previous_id or 'nothing'}: {row.reason}"
        for row in release.promotions.select_related("promoted_by")
    ]
    return [Points([*tests, *promotions] or ["None yet."])]


def _measures(title: str, measures: Sequence[Measure]) -> Table:
    rows = [[f"{m.name}{f' ({m.note})' if m.note else ''}", interval(m.estimate), str(m.estimate.n)] for m in measures]
    return Table(title, ["measure", "value", "n"], rows)
