"""The evidence for one release as a document: its model card, and a report in the order of STARD-AI (2025).

Everything is read from what is on record: the release's own files, its newest comparison as a challenger, the labels,
the readings. Nothing is computed by a model here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cataract.ml.statistics import metrics
from predictions.photos.models import EyeImage
from predictions.releases.models import LiveTest, Release
from predictions.releases.store import folder_of
from review.agreement import estimates, in_service
from review.agreement import report as agreement_report
from review.agreement.estimates import Measure
from training.comparison.models import Comparison
from training.evidence import drawings
from training.evidence.document import (
    Document,
    Drawing,
    Paragraph,
    Photos,
    Points,
    Section,
    Table,
    interval,
    number,
    of_markdown,
)
from training.runs.models import TrainingRun

FAILURES_SHOWN = 12
Test = Callable[[dict[str, Any]], bool]
# Each a share: of the photos of which the first holds, those of which the second does.
_RATES: tuple[tuple[str, Test, Test], ...] = (
    ("sensitivity", lambda p: p["truth"] == "cataract", lambda p: p["decision"] != "normal"),
    ("specificity", lambda p: p["truth"] == "normal", lambda p: p["decision"] == "normal"),
    ("positive predictive value", lambda p: p["decision"] != "normal", lambda p: p["truth"] == "cataract"),
    ("negative predictive value", lambda p: p["decision"] == "normal", lambda p: p["truth"] == "normal"),
)
_NAMES = {"cataract": "cataract", "normal": "no cataract", "ungradable": "cannot judge"}
_NO_TEST = Paragraph("It was not compared with another release on the labelled photos of this installation yet.")


def evidence_for(release: Release) -> Document:
    """The document; sections for which nothing is on record say so."""
    comparison = release.comparisons.select_related("champion", "dataset").first()
    run = release.training_runs.select_related("dataset", "requested_by", "firing").first()
    points = comparison.report["points"] if comparison else []
    return Document(
        title=f"Evidence for release {release.pk}",
        subtitle="Model card, and report of diagnostic accuracy in the order of STARD-AI.",
        sections=[
            _identity(release, run, comparison),
            Section("Flow of the data", _flow(run, comparison)),
            Section("Answers against the truth", _accuracy(points)),
            Section("Subgroups", _subgroups(comparison)),
            Section("Calibration", _calibration(points)),
            Section("Thresholds, and how they were chosen", _thresholds(release)),
            Section("Against the champion of that day", _gates(comparison)),
            Section("Photos that it gets wrong", _failures(points)),
            Section("People and the AI, in service", _people(release)),
            Section("Live tests and promotions", _history(release)),
            *_card(release),
        ],
    )


def _identity(release: Release, run: TrainingRun | None, comparison: Comparison | None) -> Section:
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
        rows += [("Training run", f"{run.pk}, asked for by {run.asked_for_by}: {run.reason or 'no reason stated'}")]
        rows += [("Dataset", run.dataset_id), ("Seed", str(run.seed))]
    if comparison is not None:
        rows += [
            ("Judged by", f"the change-control plan {comparison.report['rules']}: {comparison.get_verdict_display()}")
        ]
    return Section("What it is", [Table("", ["fact", "on record"], rows)])


def _flow(run: TrainingRun | None, comparison: Comparison | None) -> list[Any]:
    dataset = comparison.dataset if comparison else run.dataset if run else None
    if dataset is None:
        return [
            Paragraph("It was not made from labels of this installation; its model card says what it was fitted on.")
        ]
    stored = EyeImage.objects.filter(created_at__lte=dataset.created_at).count()
    counts = {split: dict(row) for split, row in dataset.counts.items()}
    total = sum(sum(row.values()) for row in counts.values())
    levels: list[list[list[str]]] = [
        [[f"{stored} photos stored when the data was frozen"]],
        [[f"{total} with a confirmed label", f"dataset {dataset.pk[:12]}"]],
        [
            [f"{split}: {sum(row.values())}", f"{row.get('cataract', 0)} with, {row.get('normal', 0)} without"]
            for split, row in counts.items()
        ],
    ]
    left = Paragraph(
        f"{stored - total} photos had no label that may be used: none yet, no consent, or another finding."
    )
    if comparison is not None:
        n, table = comparison.report["n"], comparison.report["figures"]["challenger"]["confusion"]
        levels.append(
            [[f"{n['images']} test photos answered by this release", f"{n['seen']} of them seen in a training"]]
        )
        levels.append(
            [
                [
                    f"{name}: {sum(row[said] for row in table.values())}",
                    f"{table['cataract'][said]} with, {table['normal'][said]} without",
                ]
                for said, name in _NAMES.items()
            ]
        )
    return [Drawing(drawings.flow(levels), "With and without: cataract, by the confirmed label."), left]


def _accuracy(points: Sequence[dict[str, Any]]) -> list[Any]:
    if not points:
        return [_NO_TEST]
    counts = Counter((point["truth"], point["decision"]) for point in points)
    rows = [
        [
            _NAMES[truth],
            *(str(counts[truth, said]) for said in _NAMES),
            str(sum(counts[truth, said] for said in _NAMES)),
        ]
        for truth in ("cataract", "normal")
    ]
    return [
        Table("Test photos by truth (down) and answer (across)", ["truth", *_NAMES.values(), "all"], rows),
        Table(
            "With 95 % intervals by patient",
            ["measure", "all photos; cannot judge counts as positive", "only photos that it judged"],
            _rates(points),
        ),
        Paragraph(
            "A photo that cannot be judged is referred to a person, so it counts as a positive answer (intention to "
            "screen). Predictive values hold for the share of cataract among these photos only."
        ),
    ]


def _rates(points: Sequence[dict[str, Any]]) -> list[list[str]]:
    judged = [point for point in points if point["decision"] != "ungradable"]
    return [[name, *(_rate(among, given, hit) for among in (points, judged))] for name, given, hit in _RATES]


def _rate(points: Sequence[dict[str, Any]], given: Test, hit: Test) -> str:
    chosen = [point for point in points if given(point)]
    found = estimates.weighted_share(
        [hit(point) for point in chosen], np.ones(len(chosen)), [_cluster(point) for point in chosen]
    )
    return f"{interval(found)}, n {found.n}"


def _cluster(point: dict[str, Any]) -> Any:
    return point.get("cluster", point.get("image"))


def _subgroups(comparison: Comparison | None) -> list[Any]:
    rows = comparison.report["subgroups"] if comparison else []
    if not rows:
        return [_NO_TEST]
    cells = [
        [
            f"{row['group']}: {row['value']}",
            str(row["n"]),
            *(number(row[name]["challenger"]) for name in ("sensitivity", "specificity")),
            row.get("reason", row["verdict"]),
        ]
        for row in rows
    ]
    head = ["subgroup", "photos", "sensitivity", "specificity", "against the champion"]
    return [Table("", head, cells)]


def _calibration(points: Sequence[dict[str, Any]]) -> list[Any]:
    judged = [point for point in points if point["probability"] is not None]
    if not judged:
        return [_NO_TEST]
    p = np.array([point["probability"] for point in judged])
    y = np.array([point["truth"] == "cataract" for point in judged], dtype=np.int64)
    found = metrics.evaluate(y, p, clusters=np.array([str(_cluster(point)) for point in judged]))
    place = np.minimum((p * 10).astype(int), 9)
    bins = [
        {"low": b / 10, "stated": float(p[inside].mean()), "observed": float(y[inside].mean()), "n": int(inside.sum())}
        for b in np.unique(place)
        for inside in [place == b]
    ]
    rows = [
        [f"{row['low']:.1f} to {row['low'] + 0.1:.1f}", number(row["stated"]), number(row["observed"]), str(row["n"])]
        for row in bins
    ]
    figures = [
        [title, interval(found[name])]
        for name, title in (("roc_auc", "ROC-AUC"), ("pr_auc", "PR-AUC"), ("ece", "ECE"), ("brier", "Brier score"))
    ]
    return [
        Table("With 95 % intervals by patient", ["measure", "value"], figures),
        Drawing(drawings.reliability(bins), "On the diagonal a stated probability is right.", millimetres=80),
        Table("", ["stated between", "mean stated", "share with cataract", "photos"], rows),
    ]


def _thresholds(release: Release) -> list[Any]:
    policy = release.manifest.get("policy", {})
    if not policy:
        return [Paragraph("The manifest holds no policy.")]
    auto, band = policy["auto"], policy["fast_band"]
    return [
        Points(
            [
                f"Decided without a person: no cataract below {number(auto['normal_below'])}, cataract above "
                f"{number(auto['cataract_above'])}; between them a person reads the photo.",
                f"The accurate model is asked where the fast one says {number(band['low'])} to {number(band['high'])}; "
                f"its weight in the final log-odds is {policy['accurate_weight']:g}.",
                f"The two disagree when they stand on opposite sides of 0.5, both by more than "
                f"{policy['disagreement_margin']:g}: then a person reads.",
                f"Asked for: at most {policy['target_error']:.1%} wrong among the automatic answers with "
                f"{policy['confidence']:.0%} confidence. Found on {policy['n']} photos: {policy['coverage']:.0%} are "
                f"decided, and at most {policy['bound']:.1%} of these are wrong.",
                f"Calibrated on: {policy.get('calibrated_on', 'the calibration split')}. {policy.get('message', '')}",
            ]
        )
    ]


def _gates(comparison: Comparison | None) -> list[Any]:
    if comparison is None:
        return [_NO_TEST]
    report = comparison.report
    rows = [
        [
            f"{gate['id']} {gate['title']}",
            "new labels" if gate.get("on") == "since" else "test set",
            gate["verdict"].replace("_", " "),
            gate["reason"],
        ]
        for gate in report["gates"]
    ]
    flips = Counter(flip["kind"] for flip in report["flips"])
    causes = Counter(cause.get_cause_display() for cause in comparison.causes.all())
    stated = ", ".join(f"{cause}: {count}" for cause, count in causes.items()) or "none stated yet"
    return [
        Paragraph(f"Champion: {comparison.champion_id}. Compared {comparison.created_at:%Y-%m-%d %H:%M} UTC."),
        Table("", ["gate", "on", "verdict", "why"], rows),
        Paragraph(
            f"{flips['right_to_wrong']} photos turn from right to wrong, {flips['wrong_to_right']} from wrong to "
            f"right; McNemar's exact p is {number(report['mcnemar']['p'])}. Causes that people stated: {stated}."
        ),
    ]


def _failures(points: Sequence[dict[str, Any]]) -> list[Any]:
    wrong = [point for point in points if point["decision"] != point["truth"] and "image" in point]
    if not points:
        return [_NO_TEST]
    if not wrong:
        return [Paragraph("None of the test photos.")]
    surest = sorted(wrong, key=lambda point: -abs((point["probability"] or 0.5) - 0.5))
    shown = [
        (
            str(point["image"]),
            f"Truth: {_NAMES[point['truth']]}. Said: {_NAMES[point['decision']]} {number(point['probability'], 2)}"
            f"{', sent to a person' if point.get('needs_review') else ', decided alone'}.",
        )
        for point in surest[:FAILURES_SHOWN]
    ]
    return [Paragraph(f"{len(wrong)} of {len(points)} test photos; the surest {len(shown)} first."), Photos(shown)]


def _people(release: Release) -> list[Any]:
    chosen = [row for row in in_service.rows() if row.release == release.pk]
    found = agreement_report.report()
    return [
        _measures(
            f"This release in service ({len(chosen)} of its answers were chosen for reading)",
            in_service.measures(chosen),
        ),
        _measures("When readers were shown that the AI differs (all releases)", found.ledger.measures),
        _measures("Agreement with the AI, read blind and shown first (all releases)", found.anchoring),
        _measures("Between readers", found.between),
    ]


def _measures(title: str, measures: Sequence[Measure]) -> Table:
    rows = [[f"{m.name}{f' ({m.note})' if m.note else ''}", interval(m.estimate), str(m.estimate.n)] for m in measures]
    return Table(title, ["measure", "value", "n"], rows)


def _history(release: Release) -> list[Any]:
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


def _card(release: Release) -> list[Section]:
    """The model card that the release carries; its first heading names it."""
    path = folder_of(release) / "card.md"
    if not path.is_file():
        return [Section("Model card", [Paragraph("The release carries none.")])]
    first, *rest = of_markdown(path.read_text(encoding="utf-8", errors="replace")[:100_000]) or [Section("", [])]
    title = first.title if first.title.startswith("Model card") else f"Model card: {first.title}".rstrip(": ")
    return [Section(title, first.blocks), *(Section(f"Model card: {each.title}", each.blocks) for each in rest)]
