"""`make contact-sheet`: the pictures of the browser tests on one page, to be looked at by a person. Never committed.

A row for each page, with 360 and 1280 px, light and dark. All eyes are drawn.
"""

import re
import sys
from collections import defaultdict
from html import escape
from pathlib import Path

_NAME = re.compile(r"(?P<page>.+)-(?P<width>\d+)-(?P<theme>light|dark)\.png")
_STYLE = "body{font:15px system-ui;margin:24px}section{display:flex;gap:12px;overflow:auto}img{height:480px}"


def sheet(folder: Path) -> str:
    """The page as HTML, with the pictures beside it."""
    pages: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for path in folder.glob("*.png"):
        if found := _NAME.fullmatch(path.name):
            pages[found["page"]].append((int(found["width"]), found["theme"], path.name))
    rows = "".join(
        f"<h2>{escape(page)}</h2><section>"
        + "".join(f'<a href="{name}"><img src="{name}" alt="{width} px, {theme}"></a>' for width, theme, name in shots)
        + "</section>"
        for page, shots in sorted((page, sorted(shots)) for page, shots in pages.items())
    )
    return f'<!doctype html><meta charset="utf-8"><title>Contact sheet</title><style>{_STYLE}</style>{rows}\n'


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "index.html").write_text(sheet(place))
    print(f"{place / 'index.html'}")
