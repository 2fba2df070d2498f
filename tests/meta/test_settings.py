"""A setting with a bad value fails the system check by its name, before the system starts."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from cataract.core.checks import RULES, SETTINGS

BAD: list[tuple[str, Any]] = [
    ("INFERENCE", "nobody"),
    ("CASCADE_MODE", "foo"),
    *(
        (f"REVIEW_{rate}_RATE", value)
        for rate in ("SECOND_READ", "AI_FIRST", "CONTROL", "REPEAT")
        for value in (-0.1, 1.1)
    ),
    ("ACCURATE_CHECK_LIMIT", 1.5),
    ("ACCURATE_CHECK_RATE", -0.1),
    ("ALWAYS_READ_RATE", 1.5),
    ("ALWAYS_READ_WEEKLY", -1),
    ("AUDIT_RATE", 0.0),
    ("AUDIT_RATE", 1.5),
    ("DRIFT_FALSE_ALARMS", 0.0),
    ("AUTO_MAX_MISSED", 0.5),
    ("AUTO_MAX_MISSED", 0.0),
    ("AUTO_MAX_FALSE_ALARMS", 0.5),
    ("AUTO_PREVALENCE", 1.0),
    ("AUTO_PREVALENCE", -0.1),
    ("AUTO_CONFIDENCE", 1.0),
    ("AUTO_CONFIDENCE", float("nan")),
    ("DATABASE_WAIT_SECONDS", 0),
    ("MAX_UPLOAD_BYTES", 0),
    ("MAX_UPLOAD_PIXELS", -1),
    ("MAX_BATCH_BYTES", 0),
    ("MAX_BATCH_FILES", 0),
    ("MAX_QUEUED_PREDICTIONS", 0),
    ("PREDICTION_LEASE_SECONDS", 0),
    ("TRAINING_SILENT_SECONDS", 0),
    ("TRAINING_DEVICE", "gpu"),
    ("TRAINING_MAX_HOURS", 0.0),
    ("TRAINING_MAX_GIGABYTES", -1.0),
    ("DECODER_PROCESSES", -1),
    ("INFERENCE_THREADS", 0),
    ("WEB_PROCESSES", 0),
    ("WEB_THREADS", 0),
    ("WORKER_PROCESSES", 0),
    ("PORT", 0),
    ("MLFLOW_PORT", 66_000),
    ("INFERENCE_PROVIDERS", []),
    ("INFERENCE_PROVIDERS", ["cuda"]),
    ("SPLIT_FRACTIONS", {"train": 0.6, "calibration": 0.2, "test": 0.3}),
    ("SPLIT_FRACTIONS", {"train": 0.8, "test": 0.2}),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_fails_by_name(name: str, value: Any, settings: Any) -> None:
    setattr(settings, name, value)
    (message,) = run_checks(tags=[SETTINGS])
    assert message.is_serious() and message.msg.startswith(f"{name} ") and str(value) in message.msg


@pytest.mark.parametrize("rate", ["600", "many/min", "600/fortnight", "0/min", "", "-5/min"])
@pytest.mark.parametrize("name", ["read", "write", "upload", "batch", "explain", "anonymous"])
def test_a_bad_rate_fails_by_name(name: str, rate: str, settings: Any) -> None:
    settings.API_RATES = settings.API_RATES | {name: rate}
    (message,) = run_checks(tags=[SETTINGS])
    assert message.is_serious() and message.msg.startswith(f"RATE_{name.upper()} ")


@pytest.mark.parametrize("command", ["setup", "up"])
def test_the_system_does_not_start_with_a_bad_value(command: str, settings: Any) -> None:
    settings.CASCADE_MODE = "foo"
    with pytest.raises(SystemCheckError, match="CASCADE_MODE"):
        call_command(command, skip_checks=False)


def test_the_values_as_shipped_are_good() -> None:
    assert run_checks(tags=[SETTINGS]) == []


def test_every_number_among_the_settings_has_a_rule() -> None:
    tree = ast.parse((settings.BASE_DIR / "cataract" / "settings.py").read_text(encoding="utf-8"))
    numbers = {
        str(ast.literal_eval(call.args[0]))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("env.int", "env.float")
    }
    assert numbers and numbers <= {name for rule in RULES for name in rule.names}


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("TRAINING_MAX_HOURS", "five")])
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import cataract.settings"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and f"ImproperlyConfigured: {name} " in done.stderr


def _import_settings(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from cataract.settings import SECRET_KEY; print(SECRET_KEY)"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_key_of_a_data_folder_is_made_once_and_an_empty_one_is_named(tmp_path: Path) -> None:
    """A full disk once left an empty file."""
    first, second = _import_settings(tmp_path), _import_settings(tmp_path)
    assert first.stdout == second.stdout and len(first.stdout) > 50, first.stderr
    key = tmp_path / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600 and [*tmp_path.glob(".secret*")] == []
    key.write_text("")
    refused = _import_settings(tmp_path)
    assert refused.returncode and "secret.key is empty. Restore it from a backup" in refused.stderr
    assert key.read_text() == "", "no other key takes its place"
