"""Export labels to a file, or labels and photos to a folder."""

import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from predictions.photos import storage
from review.labels import exports

FOLDER = "folder"


class Command(BaseCommand):
    help = (
        "Export the standing labels with their provenance. Formats: csv, jsonl and coco write one file; folder copies "
        "the photos that may train to split/class folders (ImageFolder) and adds metadata.jsonl and coco.json."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, help="File or folder to write; it must not exist.")
        parser.add_argument("--format", choices=[*exports.FORMATS, FOLDER], default="csv")
        parser.add_argument("--training", action="store_true", help="Only labels that may train the models.")
        parser.add_argument("--without-ai", action="store_true", help="Leave out the AI's answers.")

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"].absolute()
        if out.exists():
            raise CommandError(f"{out} already exists. Choose another name or remove it.")
        with_ai = not options["without_ai"]
        temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=_folder_of(out)))
        try:
            as_folder = options["format"] == FOLDER
            labels = exports.labels_to_export(training_only=options["training"] or as_folder)
            export = temporary / "export"
            if as_folder:
                count = _write_folder(export, labels, with_ai=with_ai)
            else:
                count = labels.count()
                _write_file(export, exports.FORMATS[options["format"]], labels, with_ai=with_ai)
            export.rename(out)
            record(Act.EXPORTED, what="labels", labels=count, with_ai=with_ai)
        except DatabaseError as error:
            raise CommandError(f"The database is not ready ({error}). Run `manage.py migrate`.") from None
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename} is missing. Nothing was written. Run `manage.py doctor`.") from error
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error}.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.stdout.write(f"{count} labels written to {out}.")


def _folder_of(out: Path) -> Path:
    if not out.parent.is_dir():
        raise CommandError(f"There is no folder {out.parent}.")
    return out.parent


def _write_file(path: Path, form: exports.Format, labels: Any, *, with_ai: bool) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(form.write(labels, with_ai=with_ai))


def _write_folder(folder: Path, labels: Any, *, with_ai: bool) -> int:
    """Write the photos by split and class, and the two files that describe them. Returns the number of photos."""
    folder.mkdir()
    _write_file(folder / "metadata.jsonl", exports.FORMATS["jsonl"], labels, with_ai=with_ai)
    _write_file(folder / "coco.json", exports.FORMATS["coco"], labels, with_ai=with_ai)
    count = 0
    for label in labels.iterator(chunk_size=exports.CHUNK):
        target = folder / exports.file_name(label)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(storage.read(label.image.stored_name))
        count += 1
    return count
