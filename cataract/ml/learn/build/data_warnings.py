"""What is doubtful about the labelled photos of a training, in sentences: before it from the counts, after it also from
the labels."""

import numpy as np

from cataract.ml.learn.build.data import MIN_CALIBRATION_CLUSTERS, TrainingData
from cataract.ml.learn.fast.label_errors import find_suspects
from cataract.ml.learn.packages import has_cleanlab
from cataract.ml.learn.vectors.embedding_cache import EmbeddedPhotos

_IMBALANCE = 10  # photos of the one class for each of the other, from which on it is said
_NOISE = 0.05  # share of labels that a model contradicts; of correct labels it is one or two in a hundred


def count_warnings(normal: int, cataract: int) -> list[str]:
    """About so many clusters (patients with near-duplicates) of each class."""
    if not normal or not cataract:
        missing = "cataract" if normal else "normal"
        return [f"No photo is labelled {missing}: nothing can be learned from one class."]
    warnings = []
    (few, fewer), (most, more) = sorted(((normal, "normal"), (cataract, "cataract")))
    if few < MIN_CALIBRATION_CLUSTERS:
        warnings.append(
            f"There are only {few} patients or groups of photos labelled {fewer}. Figures and thresholds rest on few "
            f"photos; from {MIN_CALIBRATION_CLUSTERS} on they are worth more."
        )
    if most >= _IMBALANCE * few:
        warnings.append(
            f"The classes are unequal, 1 {fewer} for {most / few:.0f} {more}. Both weigh the same in the fit, but what "
            f"is known of {fewer} is known from {few}: collect more of these."
        )
    return warnings


def training_warnings(data: TrainingData, photos: EmbeddedPhotos) -> list[str]:
    """About the photos of a training, probable label noise included."""
    counts = [len(np.unique(data.clusters[data.y == label])) for label in (0, 1)]
    warnings = count_warnings(*counts)
    if min(counts) >= 2 and has_cleanlab():
        suspects = len(find_suspects(photos.vectors, data.y, data.clusters))
        if suspects > _NOISE * len(data.y):
            warnings.append(
                f"{suspects} of {len(data.y)} labels are probably wrong: a model that has not seen the photo is sure "
                "of the other answer. Check the labels on the start page before you train again; wrong labels switch "
                "automatic answers off."
            )
    return warnings
