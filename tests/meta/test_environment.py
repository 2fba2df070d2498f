"""docs/settings.md lists every environment variable of the settings with its default and what it does."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cataract.core.checks import values_are_possible

BASE_DIR = Path(__file__).resolve().parent.parent.parent
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def variables_read() -> set[str]:
    """The first argument of each `env.x(...)`, `env(...)` and `_required(...)` in the settings."""
    tree = ast.parse((BASE_DIR / "cataract" / "settings.py").read_text(encoding="utf-8"))
    names = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args and ast.unparse(call.func).split(".")[0] in ("env", "_required"):
            name = call.args[0]
            if isinstance(name, ast.Constant):
                names.add(str(name.value))
    return names


def rows() -> list[tuple[str, str, str]]:
    return _ROW.findall((BASE_DIR / "docs" / "settings.md").read_text(encoding="utf-8"))


def test_every_variable_of_the_settings_is_described_once() -> None:
    found = variables_read()
    assert {"SECRET_KEY", "DATABASE_URL", "PORT", "RATE_READ", "LOG_LEVEL"} <= found, "the settings are read otherwise"
    described = Counter(name for name, _, _ in rows())
    assert not found - set(described), "missing in docs/settings.md"
    assert not set(described) - found, "described in docs/settings.md, but read nowhere in the settings"
    assert set(described.values()) == {1}


def test_every_plain_number_that_is_a_default_is_the_one_described() -> None:
    tree = ast.parse((BASE_DIR / "cataract" / "settings.py").read_text(encoding="utf-8"))
    described = {name: default.strip("` ") for name, default, _ in rows()}
    wrong = []
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) in ("env.int", "env.float", "env.bool")):
            continue
        name = str(ast.literal_eval(call.args[0]))
        default = next(keyword.value for keyword in call.keywords if keyword.arg == "default")
        if name not in described or not isinstance(default, ast.Constant):
            continue
        number = ast.literal_eval(default)
        if float(described[name]) != float(number):
            wrong.append(f"{name}: {described[name]} instead of {number}")
    assert not wrong


def test_the_page_of_settings_is_up_to_date_and_describes_each_variable() -> None:
    program = "import settings_table as s; print(s.page(), end=''); assert all(v.meaning for v in s.variables())"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR / "docs", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"a variable has no comment above it\n{result.stderr}"
    written = (BASE_DIR / "docs" / "settings.md").read_text(encoding="utf-8")
    assert result.stdout == written, "docs/settings.md is out of date: `make docs`"


@pytest.mark.parametrize(("error", "confidence"), [(0.0, 0.95), (0.5, 0.95), (0.05, 1.0), (0.05, 0.4)])
def test_a_promise_that_cannot_be_kept_is_no_setting(settings: Any, error: float, confidence: float) -> None:
    assert values_are_possible(None) == []
    settings.AUTO_MAX_MISSED, settings.AUTO_CONFIDENCE = error, confidence
    assert [message.id for message in values_are_possible(None)] == ["cataract.E003"]
