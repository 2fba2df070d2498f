"""A release as a model of MLflow's flavour "python_function": the code that MLflow runs, without Django and pickle.

MLflow keeps this file beside the release and runs it when the model is loaded ("models from code"). It imports
`cataract.ml`, so the program must be installed, or be in the working directory, where the model is loaded.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.labels import Decision, Mode
from cataract.ml.photos import images
from cataract.ml.photos.refusals import PhotoRefused


class CascadeModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Answers photos with the cascade of one release.

    Input: one row a photo, the column `image` with the bytes of a JPEG, PNG or WebP file, or those in base64.
    Output: one row a photo. `automatic` is whether the release asks for no person; else `reason` says why, also for a
    file that is no photo. The rules of an installation (acceptance of a site, random checks) are not part of a model.
    """

    def load_context(self, context: Any) -> None:
        self._cascade = Cascade.load(Path(context.artifacts["release"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """params: `mode`, a value of `Mode`. Raises ValueError without the column, and for an unknown mode."""
        if "image" not in model_input:
            raise ValueError('The input needs a column "image" with the bytes of a photo, or with their base64.')
        mode = str((params or {}).get("mode", Mode.CASCADE))
        # As objects: a probability that does not exist is None, in JSON null; NaN is no JSON.
        return pd.DataFrame([self._answer(value, mode) for value in model_input["image"]], dtype=object)

    def _answer(self, value: bytes | str, mode: str) -> dict[str, Any]:
        try:
            data = _bytes_of(value)
            images.inspect(data)
            pixels = images.decode(data)
        except PhotoRefused as refused:
            return _row(self._cascade.release_id, reason=f"refused: {refused.code}")
        outcome = self._cascade.predict([pixels], mode=mode)[0]
        return _row(
            outcome.release_id,
            decision=outcome.decision.value,
            probability=outcome.probability,
            fast_probability=outcome.fast_probability,
            accurate_probability=outcome.accurate_probability,
            automatic=not outcome.needs_review,
            route=outcome.route.value,
            reason=", ".join(outcome.reasons),
        )


def _bytes_of(value: bytes | str) -> bytes:
    """The file in `value`; of a text that is no base64, the text itself, which is refused like any other file."""
    if not isinstance(value, str):
        return bytes(value)
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return value.encode()


def _row(release: str, **answer: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("probability", "fast_probability", "accurate_probability"))
    row = {"decision": Decision.UNGRADABLE.value, **nothing, "automatic": False, "route": "", "reason": ""}
    return {**row, **answer, "release": release}


mlflow.models.set_model(CascadeModel())
