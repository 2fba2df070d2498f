"""Writes docs/settings.md from the `env` calls of cataract/settings.py and the comments above them: `make docs`."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SETTINGS = BASE_DIR / "cataract" / "settings.py"
PAGE = BASE_DIR / "docs" / "settings.md"
INTRODUCTION = """# Settings

Every environment variable that `cataract/settings.py` reads. `make docs` generates this page from that file; a test
fails when it is out of date. Lists are separated by commas, booleans are 0 or 1, shares are between 0 and 1. "Required"
means that nothing starts without it under `PRODUCTION=1`.
"""
_TYPES = {"int": "integer", "float": "number", "bool": "0 or 1", "list": "list", "dict": "pairs", "str": "text"}
_SECTION = re.compile(r"# ([^-:]+?)(?:: [^-]*)? -{5,}$")


@dataclass(frozen=True)
class Variable:
    """One environment variable: how the settings read it and how its comment describes it."""

    name: str
    kind: str
    default: str
    meaning: str
    section: str


def comment_above(lines: list[str], line: int) -> str:
    """The comment that ends right above the 1-based `line`, as one line of text; empty without one."""
    first = line - 1
    while first > 0 and lines[first - 1].lstrip().startswith("# ") and not _SECTION.search(lines[first - 1].strip()):
        first -= 1
    return " ".join(text.strip().removeprefix("# ") for text in lines[first : line - 1])


def section_of(lines: list[str], line: int) -> str:
    """The title of the section that the 1-based `line` stands in."""
    titles = [match[1] for text in lines[:line] if (match := _SECTION.match(text))]
    return titles[-1] if titles else "Basics"


def _anchors(node: ast.AST, line: int) -> list[tuple[ast.Call, int]]:
    """Each call in `node` with the line below the comment that describes it: its statement or its dictionary entry."""
    calls = []
    for child in ast.iter_child_nodes(node):
        is_anchor = isinstance(child, ast.stmt) or isinstance(node, ast.Dict)
        start = child.lineno if is_anchor and isinstance(child, ast.stmt | ast.expr) else line
        if isinstance(child, ast.Call):
            calls.append((child, start))
        calls += _anchors(child, start)
    return calls


def _default_text(call: ast.Call) -> str:
    """A literal default as it is written in the environment; empty for a computed or missing one."""
    value = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)
    try:
        literal = None if value is None else ast.literal_eval(value)
    except ValueError:
        return ""
    if isinstance(literal, bool):
        literal = int(literal)
    if isinstance(literal, list):
        return ", ".join(f"`{item}`" for item in literal) or "none"
    return f"`{literal}`" if literal not in (None, "") else ""


def variables() -> list[Variable]:
    """The variables in the order of the settings; one that is read several times is listed once."""
    source = SETTINGS.read_text(encoding="utf-8")
    lines = source.splitlines()
    reads: dict[str, list[tuple[str, ast.Call, str, int]]] = {}
    for call, line in _anchors(ast.parse(source), 1):
        function = ast.unparse(call.func)
        if call.args and isinstance(call.args[0], ast.Constant) and function.split(".")[0] in ("env", "_required"):
            reads.setdefault(str(call.args[0].value), []).append((function, call, comment_above(lines, line), line))
    return [_variable(name, found, lines) for name, found in reads.items()]


def _variable(name: str, reads: list[tuple[str, ast.Call, str, int]], lines: list[str]) -> Variable:
    comment, _, computed = next((text for _, _, text, _ in reads if text), "").partition(" Default: ")
    kind = next(_TYPES[function.removeprefix("env.")] for function, _, _, _ in reads if function.startswith("env."))
    default = computed.rstrip(".") or next(filter(None, (_default_text(call) for _, call, _, _ in reads)), "none")
    if any(function == "_required" for function, _, _, _ in reads):
        default = f"required; otherwise {default}"
    return Variable(name, kind, default, comment, section_of(lines, reads[0][3]))


def page() -> str:
    """The whole of docs/settings.md."""
    parts, section = [INTRODUCTION], ""
    for variable in variables():
        if variable.section != section:
            section = variable.section
            parts.append(f"\n## {section}\n\n| variable | type | default | what it does |\n|---|---|---|---|\n")
        parts.append(f"| `{variable.name}` | {variable.kind} | {variable.default} | {variable.meaning} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
