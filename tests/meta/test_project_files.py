"""The files around the code agree with each other: lint hooks, workflow, versions, documents."""

import re
import tomllib
from pathlib import Path

import yaml

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def read(name: str) -> str:
    return (BASE_DIR / name).read_text(encoding="utf-8")


def test_pre_commit_runs_what_make_lint_runs() -> None:
    targets = re.findall(r"^LINTS := (.+)$", read("Makefile"), re.MULTILINE)[0].split()
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == targets
    assert all(hook["entry"] == f"make {hook['id']}" and hook["language"] == "system" for hook in hooks)


def test_the_workflow_runs_ci_on_every_supported_python() -> None:
    job = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]


def test_the_version_has_release_notes() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", read("CHANGELOG.md"), re.MULTILINE)


def test_the_readme_fits_three_screens() -> None:
    assert len(read("README.md").splitlines()) <= 120


def test_every_link_between_documents_leads_to_a_file() -> None:
    documents = [BASE_DIR / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    documents += (BASE_DIR / "docs").rglob("*.md")
    dead = [
        f"{document.relative_to(BASE_DIR)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert not dead
