"""The report of an import as JSON for its row, and as rows for its page."""

from typing import Any

from predictions.photos.models import Split
from training.datasets.imports import ImportReport

_COUNTS = ("stored", "known", "refused", "labelled", "excluded")
_GROUPS = (
    ("leaks", "Leaks: the same picture in the training and the test folder", "They count as test photos."),
    ("conflicts", "Label conflicts: the same picture with both labels", "None of them is labelled."),
    ("near_duplicates", "Copies: each group is one picture", "Each group stays on one side of every split."),
)


def as_json(report: ImportReport) -> dict[str, Any]:
    """The whole report, with one line a file."""
    return {
        **{name: getattr(report, name) for name in _COUNTS},
        "elsewhere": [[*key, count] for key, count in report.elsewhere.most_common()],
        "of_split": dict(report.of_split),
        **{name: getattr(report, name) for name, _, _ in _GROUPS},
        "lines": report.lines,
        "told": report.told,
    }


def moved(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Files that are not in the split that their folder names: how many of how many, where they are, and why."""
    return [
        {
            "count": count,
            "of": report["of_split"].get(wanted, count),
            "wanted": Split(wanted).label,
            "got": Split(got).label,
            "why": why,
        }
        for wanted, got, why, count in report["elsewhere"]
    ]


def groups(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of files that a person should look at, each kind with its title; kinds without any are left out."""
    return [{"title": title, "text": text, "groups": report[name]} for name, title, text in _GROUPS if report.get(name)]
