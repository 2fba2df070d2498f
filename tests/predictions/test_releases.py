"""Releases: verified before they serve, one champion at a time, rollback with one call."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.releases import services, store
from predictions.releases import serving as registry
from predictions.releases.errors import AlreadyInstalled, DamagedRelease, PromotionConflict
from predictions.releases.models import Promotion, Release
from tests.releases import make_tiny_release

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def second_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_release(tmp_path_factory.mktemp("second") / "tiny", seed=7, name="second")


def test_a_promotion_is_seen_by_the_next_request(champion: Release, second_folder: Path) -> None:
    before = registry.champion()
    assert before is not None and before.release_id == champion.pk
    second = store.register_release(folder=second_folder)
    promotion = services.make_champion(release=second, user=None, reason="better")
    after = registry.champion()
    assert after is not None and after.release_id == second.pk
    assert (promotion.previous_id, Release.objects.get(pk=champion.pk).status) == (champion.pk, "retired")
    back = services.restore_previous_champion(user=None, reason="worse after all")
    again = registry.champion()
    assert back.is_rollback and again is not None and again.release_id == champion.pk


def test_registering_twice_is_registering_once(champion: Release, tiny_release: Path) -> None:
    assert store.register_release(folder=tiny_release) == champion
    assert Release.objects.count() == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest"])
def test_a_damaged_folder_is_refused_and_leaves_nothing(
    tiny_release: Path, tmp_path: Path, settings: Any, damage: str
) -> None:
    folder = shutil.copytree(tiny_release, tmp_path / "copy")
    file = folder / ("manifest.json" if damage == "manifest" else "fast.txt")
    data = file.read_bytes()
    if damage == "delete":
        file.unlink()
    else:
        file.write_bytes(data[:-10] if damage == "truncate" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(ReleaseCorrupt):
        store.register_release(folder=folder)
    assert not Release.objects.exists()
    assert not Path(settings.RELEASE_DIR).exists() or not list(Path(settings.RELEASE_DIR).iterdir())


def test_a_damaged_challenger_never_serves(champion: Release, second_folder: Path, settings: Any) -> None:
    second = store.register_release(folder=second_folder)
    (Path(settings.RELEASE_DIR) / second.pk / "trunk.onnx").write_bytes(b"pickle")
    with pytest.raises(DamagedRelease):
        services.make_champion(release=second, user=None, reason="")
    serving = registry.champion()
    assert serving is not None and serving.release_id == champion.pk


def test_of_two_promotions_at_once_one_wins(champion: Release, second_folder: Path, tmp_path: Path) -> None:
    third_folder = make_tiny_release(tmp_path / "third", seed=9, name="third")
    challengers = [store.register_release(folder=folder) for folder in (second_folder, third_folder)]

    def promote(release: Release) -> bool:
        try:
            services.make_champion(release=release, user=None, reason="race")
        except PromotionConflict:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(promote, challengers))
    assert Release.objects.in_status("champion").count() == 1
    assert Promotion.objects.count() == 1 + sum(outcomes) and any(outcomes)


def test_what_serves_cannot_be_promoted_again(champion: Release) -> None:
    with pytest.raises(PromotionConflict):
        services.make_champion(release=champion, user=None, reason="")
    with pytest.raises(PromotionConflict):
        services.restore_previous_champion(user=None, reason="")


def test_the_starter_is_installed_once(tiny_release: Path, settings: Any) -> None:
    settings.STARTER_DIR = tiny_release
    assert services.install_starter().status == "champion"
    with pytest.raises(AlreadyInstalled):
        services.install_starter()
