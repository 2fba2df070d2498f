"""The losses of a run as they come: kept in its row, and drawn on its page while it trains."""

import math
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.safestring import SafeString

from cataract.core.paired_charts import Series, losses

# Trials of the search by number, points of a learning curve by their trees, epochs by fit and number.
_TRIALS, _TREES, _EPOCHS = "trials", "trees", "epochs"
_MOST = 2_000  # points of a kind that are kept


class Plot(NamedTuple):
    """A plot with its title, and what it shows in words."""

    title: str
    svg: SafeString
    words: str


class Curves:
    """What a run has reported so far. A point that is reported again, by a later attempt, replaces the first."""

    def __init__(self, stored: Mapping[str, Any] | None = None) -> None:
        self._points: dict[str, dict[str, Any]] = {kind: dict(rows) for kind, rows in (stored or {}).items()}

    def add(self, values: Mapping[str, Any], step: int) -> None:
        """Take the values of one trial, point of a learning curve, or epoch (`RunReporter.metric`)."""
        names: tuple[str, ...]
        if "trees" in values:
            kind, key, names = _TREES, str(values["trees"]), ("train_log_loss", "validation_log_loss")
        elif "trial" in values:
            kind, key, names = _TRIALS, str(values["trial"]), ("log_loss", "pruned", "is_best", "fold_losses")
        else:
            kind, key = _EPOCHS, f"{values.get('fit', 0)}.{step}"
            names = ("train_loss", "validation_loss", "fit", "fits")
        points = self._points.setdefault(kind, {})
        if key in points or len(points) < _MOST:
            points[key] = {name: values[name] for name in names if name in values and _is_finite(values[name])}

    def stored(self) -> dict[str, dict[str, Any]]:
        """As the run's row keeps it."""
        return {kind: dict(points) for kind, points in self._points.items()}


def _is_finite(value: Any) -> bool:
    """Whether JSON can hold it: a loss may be NaN, and a database refuses that."""
    return all(math.isfinite(each) for each in (value if isinstance(value, list) else [value]))


def plots(stored: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """The plots of a run's curves; empty before its first trial or epoch."""
    drawn = (_search(stored.get(_TRIALS, {})), _trees(stored.get(_TREES, {})), _epochs(stored.get(_EPOCHS, {})))
    return [plot for plot in drawn if plot is not None]


def _search(trials: Mapping[str, Any]) -> Plot | None:
    done = {int(number): trial for number, trial in trials.items() if not trial.get("pruned") and "log_loss" in trial}
    if not done:
        return None
    best, lowest = [], float("inf")
    for number in sorted(done):
        lowest = min(lowest, done[number]["log_loss"])
        best.append((float(number + 1), lowest))
    every = [(float(number + 1), trial["log_loss"]) for number, trial in sorted(done.items())]
    pruned = len(trials) - len(done)
    words = f"{len(trials)} trial{'s' if len(trials) != 1 else ''}, {pruned} pruned. {_spread(done)}".strip()
    series = [Series("trial", every, is_quiet=True, is_dots=True), Series("best", best)]
    title = "Search of the fast model"
    return Plot(title, losses(title, series, x="trial", y="log loss, cross-validated"), words)


def _spread(done: Mapping[int, Any]) -> str:
    """How much the best trial's loss varies from fold to fold."""
    best = min(done.values(), key=lambda trial: trial["log_loss"])
    folds = best.get("fold_losses") or []
    if len(folds) < 2:
        return ""
    low, high = min(folds), max(folds)
    return (
        f"Over its {len(folds)} folds the best trial's log loss goes from {low:.3f} to {high:.3f} "
        f"(standard deviation {statistics.stdev(folds):.3f})."
    )


def _trees(points: Mapping[str, Any]) -> Plot | None:
    rows = sorted((float(trees), row) for trees, row in points.items())
    series = [
        Series(name, [(trees, row[key]) for trees, row in rows if key in row], is_quiet)
        for name, key, is_quiet in (("fitted", "train_log_loss", True), ("held out", "validation_log_loss", False))
    ]
    series = [each for each in series if each.points]
    if not series:
        return None
    words = "Means over the folds: on the photos that a model was fitted on, and on those left out."
    title = "Learning curve of the fast model"
    return Plot(title, losses(title, series, x="trees", y="log loss"), words)


def _epochs(points: Mapping[str, Any]) -> Plot | None:
    """The fit that runs now, or ran last, in colour; the held-out loss of earlier ones in grey, for the spread."""
    rows = sorted(
        (int(fit), int(epoch), row) for (fit, epoch), row in ((key.split("."), row) for key, row in points.items())
    )
    if not rows:
        return None
    last = rows[-1][0]
    held_out = {
        fit: [
            (float(epoch), row["validation_loss"])
            for each, epoch, row in rows
            if each == fit and "validation_loss" in row
        ]
        for fit in range(last + 1)
    }
    fitted = [(float(epoch), row["train_loss"]) for fit, epoch, row in rows if fit == last and "train_loss" in row]
    series = [Series(f"fit {fit + 1}", points, True) for fit, points in held_out.items() if points and fit != last]
    series += [Series("fitted", fitted, True)] if fitted else []
    series += [Series("held out", held_out[last])] if held_out[last] else []
    if not series:
        return None
    ends = [min(value for _, value in points) for points in held_out.values() if points]
    words = f"Fit {last + 1} of {rows[-1][2].get('fits', 1)}."
    if len(ends) > 1:
        words += f" The lowest held-out loss of the fits goes from {min(ends):.3f} to {max(ends):.3f}."
    title = "Fine-tuning of the accurate model"
    return Plot(title, losses(title, series, x="epoch", y="loss"), words)
