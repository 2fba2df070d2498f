"""A folder of photos of several sources, one folder a source and in it one a label: `<source>/<label>/photo.jpg`."""

from pathlib import Path

from cataract.core.errors import DomainError
from cataract.ml.learn.by_source import KIND_OF_LABEL
from training.datasets.imports import Progress, ScannedFile, scan


class NotBySource(DomainError):
    code, status = "not_by_source", 422


def scan_sources(root: Path, *, on_progress: Progress | None = None) -> dict[str, list[ScannedFile]]:
    """Every file of each source, with its label; near-duplicates share a cluster, in other sources too.

    Raises NotBySource, before any photo is read, when the folder has another layout or a label that `KIND_OF_LABEL`
    lacks; NothingToImport when `root` is not a folder or holds no file.
    """
    _check_layout(root)
    sources: dict[str, list[ScannedFile]] = {}
    for file in scan(root, on_progress=on_progress):
        source, file.label = Path(file.name).parts[:2]
        sources.setdefault(source, []).append(file)
    return sources


def _check_layout(root: Path) -> None:
    files = [path.relative_to(root).parts for path in sorted(root.rglob("*")) if path.is_file()]
    shown = [parts for parts in files if not any(part.startswith(".") for part in parts)]
    outside = next((parts for parts in shown if len(parts) < 3), None)
    if outside is not None:
        raise NotBySource(
            f"{'/'.join(outside)} does not lie in {root}/<source>/<label>/. Make one folder a source, and in it one a "
            "label."
        )
    unknown = sorted({f"{source}/{label}" for source, label, *_ in shown if label not in KIND_OF_LABEL})
    if unknown:
        raise NotBySource(f"Unknown labels: {', '.join(unknown)}. The known ones: {', '.join(KIND_OF_LABEL)}.")
