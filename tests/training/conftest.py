"""An MLflow store whose tables are made once a session: making them takes seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.mlflow_server import tracking_server


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real tracking server; one a session, for its start takes 20 seconds."""
    with tracking_server(tmp_path_factory.mktemp("mlflow-server")) as address:
        yield address


@pytest.fixture(autouse=True)
def own_mlflow(own_folders: None, settings: Any, tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
