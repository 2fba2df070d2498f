"""The measures of a report as rows for pages and documents, each with its name in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from cataract.core.documents.document import interval

TITLES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Positive predictive value",
    "negative_predictive_value": "Negative predictive value",
    "accuracy": "Accuracy",
    "f1": "F1",
    "ungradable": "Share that cannot be judged",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "sensitivity_at_95_specificity": "Sensitivity at 95 % specificity",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
}


def measure_rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row a measure of a report of `gates.judge`: both releases, each with its interval and n."""
    measures = report.get("measures", {})  # comparisons of an older version have none
    for name, title in TITLES.items() if measures else ():
        champion, challenger = measures["champion"][name], measures["challenger"][name]
        yield {
            "name": title,
            "champion": interval(champion),
            "champion_n": champion["n"],
            "challenger": interval(challenger),
            "challenger_n": challenger["n"],
        }
