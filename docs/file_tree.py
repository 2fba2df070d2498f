"""Writes docs/file-tree.md from the first sentence of each module's docstring: `make docs`."""

import ast
import re
import subprocess
import textwrap
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
PAGE = BASE_DIR / "docs" / "file-tree.md"
PACKAGES = ("cataract", "predictions", "review", "training")
INTRODUCTION = """# File tree

The first sentence of every module. `make docs` generates this page; a test fails when it is out of date.
"""
OTHERS = {
    "manage.py": "Django's command line",
    "clients/": "the API client, one file without dependencies",
    "templates/, static/": "pages, one folder per app",
    "tests/": "flows over HTTP, then each app, ml, browser, faults, meta",
    "docs/": "architecture, API, production, decisions",
    "Makefile": "make run, make test and their helpers",
    "deploy/": "systemd units",
    "setup.py": "what a wheel holds",
    "Dockerfile, docker/": "three images: web without torch, trainer with it, ray with Ray Serve",
    "docker-compose.yml": "production on one host",
    "pyproject.toml": "requirements, and the configuration of ruff, mypy, pytest, coverage and import-linter",
    "requirements/": "locked requirements with hashes: core, train, ray, s3, dev",
    ".ci/run": "what a CI server runs",
}


def first_sentence(path: Path) -> str:
    """The first sentence of the module's docstring, without backticks and full stop; empty without a docstring."""
    docstring = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    sentence = re.split(r"(?<=\.)\s", " ".join(docstring.replace("`", "").split()))[0].rstrip(".")
    return textwrap.shorten(sentence, 110, placeholder=" ...")


def tree(package: str) -> str:
    """The modules of `package` with a docstring, one line each, folder by folder."""
    listed = subprocess.run(
        ["git", "ls-files", f"{package}/*.py"], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    lines, folder = [], ""
    paths = [BASE_DIR / name for name in listed.stdout.split() if "/migrations/" not in name]
    for path in sorted(paths, key=lambda each: (each.parent, each.name)):
        sentence = first_sentence(path) if path.exists() else ""
        if not sentence:
            continue
        if folder != (folder := f"{path.parent.relative_to(BASE_DIR)}/"):
            lines.append(folder)
        lines.append(f"  {path.name:<26} {sentence}")
    return "\n".join(lines)


def page() -> str:
    """The whole of docs/file-tree.md."""
    parts = [INTRODUCTION]
    parts += [f"\n## {package}\n\n```\n{tree(package)}\n```\n" for package in PACKAGES]
    others = "\n".join(f"{name:<22} {what}" for name, what in OTHERS.items())
    return "".join([*parts, f"\n## Everything else\n\n```\n{others}\n```\n"])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
