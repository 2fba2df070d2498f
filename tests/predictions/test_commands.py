"""The management commands, as a user at a terminal sees them."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from tests.factories import jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = {"path", "decision", "needs_review", "reasons", "probability", "fast", "accurate", "release", "milliseconds"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos-to-judge"
    (photos / "deeper").mkdir(parents=True)
    (photos / "1.jpg").write_bytes(jpeg_bytes(1))
    (photos / "deeper" / "2.jpg").write_bytes(jpeg_bytes(2, opacity=1.0))
    return photos


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_predict_answers_and_logs(champion: Release, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("predict", str(folder), "--json")
    first, second = lines(capsys.readouterr().out)
    assert set(first) == KEYS and first["path"].endswith("1.jpg") and first["release"] == champion.pk
    assert second["decision"] == "cataract" and second["milliseconds"] > 0
    assert EyeImage.objects.filter(source="command").count() == Prediction.objects.count() == 2
    call_command("predict", str(folder), "--json")
    again = lines(capsys.readouterr().out)
    assert [line["probability"] for line in again] == [first["probability"], second["probability"]]
    assert Prediction.objects.count() == 2


def test_predict_without_log_stores_nothing(
    champion: Release, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("predict", str(folder / "1.jpg"), "--no-log")
    assert "1.jpg: " in capsys.readouterr().out
    assert not EyeImage.objects.exists()


def test_one_bad_file_does_not_stop_the_others(
    champion: Release, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "0.jpg").write_bytes(b"Dear colleague")
    with pytest.raises(CommandError, match="1 of the photos"):
        call_command("predict", str(folder), str(folder / "absent.jpg").replace("absent", "1"), "--json", "--no-log")
    bad, *good = lines(capsys.readouterr().out)
    assert bad["code"] == "type_unknown" and len(good) == 3
    with pytest.raises(CommandError):
        call_command("predict", str(folder / "absent.jpg"), "--no-log")
    assert "absent.jpg: Cannot be read" in capsys.readouterr().err


def test_predict_says_what_is_missing(champion: Release, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="no photo below"):
        call_command("predict", str(tmp_path / "empty"))
    Release.objects.update(status="retired")
    with pytest.raises(CommandError, match="No release is in service"):
        call_command("predict", str(folder))


def test_install_starter_and_releases(tiny_release: Path, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.STARTER_DIR = tiny_release
    call_command("install_starter")
    call_command("install_starter")
    out = capsys.readouterr().out
    assert "is in service." in out and "Already installed" in out
    call_command("releases", "--json")
    assert lines(capsys.readouterr().out)[0]["status"] == "champion"
    call_command("releases")
    assert "champion" in capsys.readouterr().out


def test_a_starter_that_is_not_there(settings: Any, tmp_path: Path) -> None:
    settings.STARTER_DIR = tmp_path / "nowhere"
    with pytest.raises(CommandError, match="cannot be installed"):
        call_command("install_starter")
    assert not Release.objects.exists()


@pytest.mark.photos
def test_predict_real_photos(champion: Release, eyes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted(str(file) for file in (eyes / "test" / "normal").iterdir() if file.is_file())[:5]
    call_command("predict", *photos, "--json", "--no-log")
    assert [line["path"] for line in lines(capsys.readouterr().out)] == photos
