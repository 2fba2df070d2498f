"""Writes the file tree of the README from the first sentence of each module: `make tree`."""

import ast
import re
import subprocess
import textwrap
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGES = ("cataract", "predictions", "review", "training")
BEGIN, END = "<!-- tree -->", "<!-- /tree -->"
OTHERS = {
    "manage.py": "Django's command line",
    "Makefile": "the two commands, and what helps them",
    "Dockerfile": "two images: web without torch, trainer with it",
    "docker-compose.yml": "production on one host",
    "pyproject.toml": "what is needed, and the settings of ruff, mypy, pytest and import-linter",
    "requirements/": "locks with hashes: core, train, dev",
    "templates/, static/": "pages, one folder an app",
    "tests/": "flows over HTTP first, then each app, ml, browser, faults, meta",
    "docs/": "architecture, production, decisions",
}


def first_sentence(path: Path) -> str:
    """What the module promises, in one line without marks; "" for one without a docstring."""
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    sentence = re.split(r"(?<=\.)\s", " ".join(said.replace("`", "").split()))[0].rstrip(".")
    return textwrap.shorten(sentence, 110, placeholder=" ...")


def tree() -> str:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    lines = []
    for package in PACKAGES:
        lines.append(f"{package}/")
        for name in sorted(line for line in listed.stdout.split() if line.startswith(f"{package}/")):
            sentence = first_sentence(BASE_DIR / name) if (BASE_DIR / name).exists() else ""
            if sentence and "/migrations/" not in name:
                lines.append(f"  {name.removeprefix(package + '/'):<36} {sentence}")
    lines += [f"{name:<38} {what}" for name, what in OTHERS.items()]
    return "\n".join(lines)


def main() -> None:
    readme = BASE_DIR / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n```\n{tree()}\n```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
