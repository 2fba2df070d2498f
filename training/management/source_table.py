"""The figures of `manage.py evaluate --by-source` as lines of text."""

from collections.abc import Mapping
from typing import Any

_MEASURES: dict[str, dict[str, str]] = {
    "eyes": {
        "ungradable": "cannot judge",
        "automatic": "answered automatically",
        "wrong_cataract": 'automatic, healthy eye called "cataract"',
        "wrong_normal": 'automatic, cataract called "normal"',
        "specificity": "specificity",
        "sensitivity": "sensitivity",
        "roc_auc": "ROC-AUC",
        "ece": "ECE",
    },
    "other_conditions": {
        "ungradable": "cannot judge",
        "closed_alone": "closed without a person",
        "called_normal": '  of these "normal"',
        "called_cataract": '  of these "cataract"',
    },
    "no_colour": {"ungradable": "cannot judge", "closed_alone": "answered automatically"},
    "not_an_eye": {"ungradable": "cannot judge", "closed_alone": "answered automatically"},
}
_TITLES = {
    "eyes": "Normal and cataract",
    "other_conditions": "Other conditions",
    "no_colour": "Near infrared",
    "not_an_eye": "Not a photo of an eye",
}


def source_table(result: Mapping[str, Any]) -> list[str]:
    """Each source, then all sources pooled; measures that do not exist are left out."""
    lines = [
        f"Release {result['release']} on {result['folder']}",
        f"{result['pooled']['photos']} photos, one per group of near-duplicates in a source, of {result['files']} "
        f"files; {len(result['refused'])} refused. Each counts once. Fitted on {result['fitted_on']} of "
        "them, or copies.",
    ]
    for name, figures in [*result["sources"].items(), ("All sources", result["pooled"])]:
        labels = ", ".join(f"{label} {count}" for label, count in figures["labels"].items())
        lines += ["", f"{name}: {figures['photos']} photos ({labels})"]
        for part, measures in _MEASURES.items():
            if figures[part] is not None:
                lines.append(f"  {_TITLES[part]} ({figures[part]['photos']})")
                entries = [(words, figures[part][measure]) for measure, words in measures.items()]
                lines += [_line(words, entry) for words, entry in entries if entry["value"] is not None]
    return lines


def _line(words: str, entry: Mapping[str, Any]) -> str:
    value = f"{entry['value']:.3f}" if "k" not in entry else f"{entry['k']} of {entry['n']} ({entry['value']:.1%})"
    return f"    {words:<42}{value:<22}{entry['low']:.3f} to {entry['high']:.3f}  n {entry['n']}"
