"""The model card of a release (Markdown) as sections of a document."""

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from cataract.core.documents.document import Block, Paragraph, Points, Section, Table
from predictions.releases.models import Release
from predictions.releases.store import folder_of

_MOST = 100_000  # characters of a card that are read
_WORDS = ("text", "code_inline", "code_block", "fence")
_BREAKS = ("softbreak", "hardbreak", "paragraph", "list_item")


def card_text(release: Release) -> str:
    """The model card in the folder of the release, as Markdown; empty without one."""
    path = folder_of(release) / "card.md"
    return path.read_text(encoding="utf-8", errors="replace")[:_MOST] if path.is_file() else ""


def card_sections(release: Release) -> list[Section]:
    """The model card of the release, one section per heading."""
    text = card_text(release)
    if not text:
        return [Section("Model card", [Paragraph("This release has no model card.")])]
    first, *rest = sections_of(text) or [Section("", [])]
    title = first.title if first.title.startswith("Model card") else f"Model card: {first.title}".rstrip(": ")
    return [Section(title, first.blocks), *(Section(f"Model card: {each.title}", each.blocks) for each in rest)]


def sections_of(text: str) -> list[Section]:
    """Markdown as sections: each heading begins one. Emphasis and links become plain text."""
    root = SyntaxTreeNode(MarkdownIt("commonmark", {"html": False}).enable("table").parse(text))
    sections: list[Section] = []
    title = ""
    blocks: list[Block] = []
    for node in root.children:
        if node.type == "heading":
            if title or blocks:
                sections.append(Section(title, blocks))
            title, blocks = _text(node), []
        elif node.type != "hr":
            blocks.append(_block(node))
    return [*sections, Section(title, blocks)] if title or blocks else sections


def _block(node: SyntaxTreeNode) -> Block:
    if node.type == "table":
        head, *rows = [[_text(cell) for cell in row.children] for row in node.walk() if row.type == "tr"]
        return Table("", head, rows)
    if node.type in ("bullet_list", "ordered_list"):
        return Points([_text(item) for item in node.children])
    return Paragraph(_text(node))


def _text(node: SyntaxTreeNode) -> str:
    """The words of a node and of all below it, on one line."""
    return " ".join("".join(_words(each) for each in node.walk()).split())


def _words(node: SyntaxTreeNode) -> str:
    if node.type in _BREAKS:
        return " "
    return node.content if node.type in _WORDS else ""
