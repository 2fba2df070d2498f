"""Fit the rule that tells which way up a photo of an eye is."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from cataract.ml.arrays import Pixels
from cataract.ml.encoding.features import make_thumbnail
from cataract.ml.encoding.framing import Framing, describe, find_margins, turn
from cataract.ml.learn.starter.gate.linear_rule import fit_linear_rule, rounded

_STRENGTH = 0.01  # scikit-learn's C, of 0.001 to 0.1: most held-out photos found upright (87 %), whatever the source


def fit_framing(eyes: Sequence[Pixels]) -> Framing:
    """The framing of a release, from upright photos of eyes.

    Each photo is shown in its four turns, which are the four classes. One vector of weights decides between them,
    because turning a photo turns its description.
    """
    upright = [describe(make_thumbnail(eye[find_margins(eye)])) for eye in eyes]
    turned = np.array([turn(seen, turns) for seen in upright for turns in range(4)])
    regression = LogisticRegression(C=_STRENGTH, max_iter=500)
    weights, _ = fit_linear_rule(turned, np.tile(np.arange(4), len(eyes)), np.ones(len(turned)), regression)
    return Framing(np.array(rounded(weights)))
