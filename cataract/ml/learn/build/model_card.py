"""The model card of a release: intended use, data, metrics, thresholds, known failures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cataract.ml.cascade.risk import promises
from cataract.ml.release.manifest import Manifest

INTENDED_USE = """\
Screening aid for external photos of eyes, for use by clinics that confirm its answers. Not a diagnosis.
A negative answer does not rule out cataract or another eye disease. Not for fundus photos, slit-lamp sections,
children, eyes after surgery (artificial lenses), or animals."""

KNOWN_FAILURES = """\
- Early cataract that does not whiten the pupil is missed: the public photos show mature ones above all.
- Reflections of windows or ring lights inside the pupil look like an opacity; so does a corneal scar.
- Photos of whole faces, of two eyes, in black and white, or with strong make-up are judged less well.
- Close clinical photos are nearly always of cataract in the public sets, portraits nearly always without. Part of the
  score is that habit: see the figures with the pupil covered, where they are given."""

_MEASURES = (
    ("accuracy", "accuracy"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("roc_auc", "ROC-AUC"),
    ("pr_auc", "PR-AUC"),
    ("sensitivity_at_95_specificity", "sensitivity at 95 % specificity"),
    ("ece", "calibration error (ECE)"),
    ("brier", "Brier score"),
)


def write_card(
    folder: Path,
    *,
    base: Manifest,
    policy: Mapping[str, Any],
    figures: Mapping[str, Any],
    facts: Mapping[str, Any],
    note: str,
) -> None:
    """Write card.md of a retrained release."""
    text = f"""# Model card

Retrained from {base.id}; fitted: {facts["kind"]}.

## Intended use

{INTENDED_USE}

## Data

{facts["train_photos"]} confirmed photos of this installation ({facts["train_cataract"]} with cataract,
{facts["train_clusters"]} clusters), added to what the base release remembers of its public photos. Each cluster (a
patient with all near-duplicates) weighs as one photo.
{"".join(chr(10) + warning + chr(10) for warning in facts["warnings"])}{_distillation(facts)}
## Figures

On {note}. One photo per cluster ({facts["calibration_clusters"]} clusters), unweighted; 95 % intervals. Thresholds
were set on the same photos, so the test set of the promotion gate is the judge, not this table.

{figure_table(figures, ("cascade", "fast", "accurate"))}

{_fits(facts)}{policy_paragraph(policy, figures)}

## Against its base

{_against_base(facts["against_base"])}

## Known failures

{KNOWN_FAILURES}
"""
    (folder / "card.md").write_text(text, encoding="utf-8")


def _fits(facts: Mapping[str, Any]) -> str:
    """How each fitted model was chosen, and how much its figures vary between repeated foldings with other seeds."""
    lines = []
    if fast := facts.get("fast_model"):
        tried = ", ".join(f"{name} {loss:.4f}" for name, loss in fast["candidates"].items())
        spread = _spread(fast["repeats"], "not seen by the search")
        lines.append(f"Fast model: the lowest log loss in the search ({tried}). {spread}")
    if accurate := facts.get("accurate_model"):
        share = f"{accurate['fine_tuned_share']:.0%} of its weights are fine-tuned ones, the rest is its start's."
        lines.append(f"Accurate model: {share} {_spread(accurate['repeats'], 'with other seeds')}")
    return "\n".join([*lines, "", ""]) if lines else ""


def _spread(repeats: Sequence[Mapping[str, float]], which: str) -> str:
    if len(repeats) < 2:
        return ""
    parts = [
        f"{title} {fmean(values):.4f} (standard deviation {stdev(values):.4f})"
        for name, title in (("log_loss", "log loss"), ("roc_auc", "ROC-AUC"), ("accuracy", "accuracy"))
        for values in [[repeat[name] for repeat in repeats]]
    ]
    return f"Mean of {len(repeats)} foldings {which}: {', '.join(parts)}."


def _against_base(verdict: Mapping[str, Any]) -> str:
    """The comparison with the base release out of fold, a line a kind of photo."""
    rows = [
        f"| {name} | {each['n']} | {each['new']:.4f} | {each['base']:.4f} | "
        f"{each['difference']:+.4f} ({each['low']:+.4f} to {each['high']:+.4f}) |"
        for name, each in (("this installation's", verdict["own"]), ("public", verdict["remembered"]))
        if each is not None
    ]
    table = [
        "| photos | clusters | log loss | the base's | difference, 95 % interval |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join([verdict["reason"], "", *table]).strip() if rows else "No photo was scored by both."


def _distillation(facts: Mapping[str, Any]) -> str:
    """The section on photos without a label: metrics with and without them. Empty where there were none."""
    ablation = facts.get("distillation")
    if not ablation:
        return ""
    rows = [
        f"| {name} | {figures['log_loss']:.3f} | {figures['roc_auc']:.3f} | {figures['accuracy']:.3f} |"
        for name, figures in (("with them", ablation["with"]), ("without", ablation["without"]))
    ]
    table = "\n".join(["| fast model | log loss | ROC-AUC | accuracy |", "|---|---|---|---|", *rows])
    return f"""
## Taught on photos without a label

The accurate model of the base was sure of {ablation["photos"]} photos without a label, which then weighed
{ablation["weight"]:g} each. The labelled photos, each scored by a fast model of the other folds:

{table}

The fast model of this release was fitted {"with" if ablation["kept"] else "without"} them. The teacher may have been
fitted on the labelled photos, which flatters the first row.
"""


def figure_table(figures: Mapping[str, Any], models: Sequence[str]) -> str:
    """A Markdown table: a row per measure, a column per model, value and interval."""
    head = "| measure | " + " | ".join(model.replace("_", " ") for model in models) + " |"
    rows = [head, "|---" * (len(models) + 1) + "|"]
    for key, title in _MEASURES:
        rows.append(f"| {title} | " + " | ".join(entry(figures[model][key]) for model in models) + " |")
    return "\n".join(rows)


def entry(value: Mapping[str, Any]) -> str:
    """`0.930 (0.902-0.964), n 191`, or a dash where there is nothing to measure."""
    if value["value"] is None:
        return "-"
    return f"{value['value']:.3f} ({value['low']:.3f}-{value['high']:.3f}), n {value['n']}"


def policy_paragraph(policy: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """What is decided automatically, and with which promise."""
    return (
        f"Automatic answers: {' '.join(promises(policy))}\nOf the photos about which the gate has no concern "
        f"{policy['coverage']:.0%} are answered without a person. Without any promise, "
        f"{figures['coverage_at_5_percent_error']:.0%} could be at an observed error of 5 %."
    )
