"""The documents describe the code correctly: layers, migrations, paths, addresses, locks."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

BASE_DIR = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(sys.executable).parent


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    return [BASE_DIR / name for name in listed.stdout.split("\0") if name and (BASE_DIR / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)


def test_every_import_contract_is_kept() -> None:
    done = run(str(PROGRAMS / "lint-imports"))
    assert done.returncode == 0, done.stdout


def test_the_layers_of_a_room_are_checked_in_every_room() -> None:
    contracts = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    checked = next(contract["containers"] for contract in contracts if contract["name"].startswith("In every room"))
    folders = [path.parent for app in ("predictions", "review", "training") for path in BASE_DIR.glob(f"{app}/*/*.py")]
    rooms = {f"{path.parent.name}.{path.name}" for path in folders if path.name not in ("management", "migrations")}
    assert set(checked) == rooms


def test_no_two_rooms_import_each_other() -> None:
    done = run(sys.executable, "docs/rooms.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_migrations_match_the_models(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=BASE_DIR,
        env={"PATH": "", "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "cataract.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# In quotes, links and code of the documents: `a/path.py`, `a/path.py::function` or `folder/`.
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|yml))(?:::(\w+(?:\.\w+)*))?`")


STRICT = {"README.md", "docs/architecture.md", "docs/reliability.md", "docs/decisions/README.md"}
FOLDERS = {path.relative_to(BASE_DIR).parts[0] for path in tracked_files()}
DOCUMENTS = sorted(
    path.relative_to(BASE_DIR).as_posix() for path in (*BASE_DIR.glob("*.md"), *BASE_DIR.glob("docs/**/*.md"))
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_and_function_a_document_names_exists(document: str) -> None:
    problems = []
    for path, function in _PATH.findall((BASE_DIR / document).read_text()):
        if path.startswith((".venv/", "data/", "api/")):
            continue  # made on the reader's machine
        if document not in STRICT and path.split("/")[0] not in FOLDERS:
            continue  # an example, or a name inside a folder that the text names
        found = BASE_DIR / path
        if not found.exists():
            problems.append(f"{path} does not exist")
        elif function and not re.search(rf"(?:def|class) {function.split('.')[-1]}\b", found.read_text()):
            problems.append(f"{path} has no {function}")
    assert not problems, "\n".join(problems)


def test_the_file_tree_is_up_to_date() -> None:
    program = "import file_tree; print(file_tree.page(), end='')"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR / "docs", capture_output=True, text=True, check=True
    )
    assert result.stdout == (BASE_DIR / "docs" / "file-tree.md").read_text(), "docs/file-tree.md is stale: `make docs`"


def test_the_readme_follows_one_image_through_real_functions() -> None:
    table = (BASE_DIR / "README.md").read_text().partition("Follow one image")[2].partition("\n## ")[0]
    assert len([path for path, function in _PATH.findall(table) if function]) >= 8


# Joined from pieces: this file must not match itself.
_MACHINE = [
    re.compile(pattern)
    for pattern in (r"/opt/" + "venv", r"(?<![\w.])/work/" + r"(?:main|shared)", r"/home/" + r"\w+/", r"/root/" + r"\.")
]
_REGISTRY = re.compile(
    r"https?://[^\s\"']*(?:py" + r"pi|pythonhosted|mirror|artifactory|nexus)[^\s\"']*", re.IGNORECASE
)


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    problems = []
    for path in tracked_files():
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            if any(pattern.search(line) for pattern in _MACHINE) or _REGISTRY.search(line):
                problems.append(f"{path.relative_to(BASE_DIR)}:{number}: {line.strip()[:100]}")
    assert not problems, "\n".join(problems)


def test_no_photo_of_a_patient_is_in_the_repository() -> None:
    """Pictures are screenshots made by tests, or drawn by a program of the repository."""
    suffixes = {".jpg", ".jpeg", ".webp", ".bmp", ".tif"}
    pictures = {path for path in tracked_files() if path.suffix.lower() in suffixes}
    namespace = runpy.run_path(str(BASE_DIR / "docs" / "drawn_pictures.py"))
    assert pictures == {namespace["FOLDER"] / f"{name}.webp" for name in namespace["PICTURES"]}
    for path in pictures:
        drawn = ImageChops.difference(namespace["draw"](path.stem), Image.open(path).convert("RGB"))
        assert max(ImageStat.Stat(drawn).mean) < 8, f"{path} is not what docs/drawn_pictures.py draws"


@pytest.mark.parametrize("name", ["core", "train", "dev"])
def test_a_lock_pins_every_package_by_hash(name: str) -> None:
    text = (BASE_DIR / "requirements" / f"{name}.txt").read_text()
    pins = re.findall(r"^[\w.-]+==\S+.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pins) > 50
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in text and "file:" not in text


def test_the_locks_agree_with_one_another() -> None:
    """All three go into one environment."""
    pinned: dict[str, str] = {}
    for name in ("core", "train", "dev"):
        text = (BASE_DIR / "requirements" / f"{name}.txt").read_text()
        for package in re.findall(r"^([\w.-]+==[^\\]+?)\s*\\", text, re.MULTILINE):
            key = package.partition("==")[0] + package.partition(";")[2]
            assert pinned.setdefault(key, package) == package


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]
    sets = {"core": project["dependencies"], **project["optional-dependencies"]}
    for name, wanted in sets.items():
        text = (BASE_DIR / "requirements" / f"{name}.txt").read_text().lower()
        pinned = {re.sub(r"[._]", "-", package) for package in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
        for requirement in wanted:
            package = re.sub(r"[._]", "-", re.split(r"[\[<>=!;~ ]", requirement)[0].lower())
            assert package in pinned, f"{name}.txt lacks {package}: `make lock`"
