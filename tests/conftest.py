"""Fixtures of every test: one thread for the models, separate folders, and the real photos if present.

The real photos lie beside the checkout (`../shared/data/eyes`) and never inside it. Where they are absent the tests
that need them are deselected, and the run says so; `REQUIRE_PHOTOS=1` makes their absence an error.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy, onnxruntime and lightgbm are imported
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's sync API runs a loop in the test thread

from pathlib import Path
from typing import Any

import pytest

from tests.record import let_tests_empty_the_tables

pytest_plugins = ["tests.services", "tests.system"]
EYES = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "eyes"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "photos: needs the real photos beside the checkout")
    let_tests_empty_the_tables()
    if os.environ.get("REQUIRE_PHOTOS") == "1" and not EYES.is_dir():
        raise pytest.UsageError(f"REQUIRE_PHOTOS=1, but there is no folder {EYES}.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if EYES.is_dir():
        return
    needing = [
        item for item in items if item.get_closest_marker("photos") or "eyes" in getattr(item, "fixturenames", ())
    ]
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in set(needing)]


def pytest_report_header() -> str:
    return f"real photos: {EYES}" if EYES.is_dir() else "real photos: ABSENT; tests that need them are deselected"


@pytest.fixture(scope="session")
def eyes() -> Path:
    """The folder of real photos: `{train,test}/{normal,cataract}/`."""
    return EYES


@pytest.fixture(scope="session")
def eyes_other() -> Path:
    """The folder of real photos of other sources: `<source>/<label>/`."""
    return EYES.parent / "eyes-other"


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """No test sees the photos, releases or runs of another."""
    settings.DATA_DIR = tmp_path
    settings.PHOTO_DIR = tmp_path / "photos"
    settings.BATCH_DIR = tmp_path / "batches"
    settings.RELEASE_DIR = tmp_path / "releases"
    settings.MLFLOW_TRACKING_URI = f"sqlite:///{tmp_path / 'mlflow.db'}"
    settings.MLFLOW_ARTIFACT_DIR = tmp_path / "artifacts"


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete release folder of a few kilobytes, made once a session. Read-only: copy it to change it."""
    from tests.releases import make_tiny_release

    folder = tmp_path_factory.mktemp("release") / "tiny"
    make_tiny_release(folder)
    return folder


@pytest.fixture
def champion(db: None, own_folders: None, tiny_release: Path) -> Any:
    """The Release row of a tiny, real release that serves."""
    from predictions.releases import services, store

    release = store.register_release(folder=tiny_release)
    services.make_champion(release=release, user=None, reason="The champion of this test.")
    release.refresh_from_db()
    return release
