"""A release folder as a model folder of MLflow: MLmodel, signature, input example, requirements, code. No pickle."""

import io
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings
from PIL import Image

from cataract.ml.release.manifest import read_manifest
from cataract.ml.synthetic import render_eye
from training.tracking import mlflow_client

_CODE = Path(__file__).with_name("cascade_model.py")
# What `cascade_model.py` imports, directly and through `cataract.ml`.
_PACKAGES = ("mlflow", "numpy", "pandas", "pillow", "opencv-python-headless", "onnxruntime", "lightgbm", "scipy")
_ANSWER = {
    "decision": "string",
    "probability": "double",
    "fast_probability": "double",
    "accurate_probability": "double",
    "automatic": "boolean",
    "route": "string",
    "reason": "string",
    "release": "string",
}


def write_model_folder(folder: Path, release: Path) -> None:
    """Write the model of the release in `release` to `folder`, which does not exist yet. Raises ReleaseCorrupt."""
    mlflow_client.prepare()
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    manifest = read_manifest(release)
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema([ColSpec(kind, name) for name, kind in _ANSWER.items()]),
        params=ParamSchema([ParamSpec("mode", "string", str(settings.CASCADE_MODE))]),
    )
    save_model(
        folder,
        python_model=str(_CODE),
        artifacts={"release": str(release)},
        signature=signature,
        input_example=pd.DataFrame({"image": [_drawn_eye()]}),
        pip_requirements=requirements(),
        metadata={"release": manifest.id, "code_commit": manifest.code_commit},
    )
    share_files(release, folder / "artifacts" / release.name)


def requirements() -> list[str]:
    """The packages that the model needs, in the versions that are installed here."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


def share_files(kept: Path, copy: Path) -> None:
    """Make the files of `copy` the same files on disk as those of `kept`, where the file system can."""
    for path in list(copy.rglob("*")):
        original = kept / path.relative_to(copy)
        if path.is_file() and original.is_file():
            link = path.with_name(f".{path.name}.link")
            try:
                os.link(original, link)
            except OSError:  # another disk, or links are not allowed: the copy stays
                return
            link.replace(path)


def _drawn_eye() -> bytes:
    """A drawing, never a patient's photo."""
    file = io.BytesIO()
    Image.fromarray(render_eye(1, opacity=1.0)).save(file, "JPEG", quality=90)
    return file.getvalue()
