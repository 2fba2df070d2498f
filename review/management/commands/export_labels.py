"""Writes the labels to a file, or labels and photos to a folder."""

import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from predictions.photos import storage
from review.labels import exports

FOLDER = "folder"


class Command(BaseCommand):
    help = (
        "Export the standing labels with their provenance. Formats: csv, jsonl, coco (one file), or folder: the photos "
        "that may train, in split/class folders (ImageFolder), with metadata.jsonl and coco.json."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, help="The file or folder to write; it must not exist yet.")
        parser.add_argument("--format", choices=[*exports.FORMATS, FOLDER], default="csv")
        parser.add_argument("--training", action="store_true", help="Only labels that may train, with consent.")
        parser.add_argument("--without-ai", action="store_true", help="Leave out what the AI had said.")

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"].absolute()
        if out.exists():
            raise CommandError(f"{out} exists already. Name a new file, or remove it first.")
        with_ai = not options["without_ai"]
        temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=_folder_of(out)))
        try:
            as_folder = options["format"] == FOLDER
            labels = exports.labels_to_export(training_only=options["training"] or as_folder)
            made = temporary / "export"
            if as_folder:
                count = _write_folder(made, labels, with_ai=with_ai)
            else:
                count = labels.count()
                _write_file(made, exports.FORMATS[options["format"]], labels, with_ai=with_ai)
            made.rename(out)
        except DatabaseError as error:
            raise CommandError(f"The database is not ready ({error}). Run `manage.py migrate` first.") from None
        except FileNotFoundError as error:
            raise CommandError(
                f"{error.filename} is missing. Nothing was written; `manage.py doctor` says more."
            ) from error
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error}.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.stdout.write(f"{count} labels written to {out}.")


def _folder_of(out: Path) -> Path:
    if not out.parent.is_dir():
        raise CommandError(f"There is no folder {out.parent}. Make it first.")
    return out.parent


def _write_file(path: Path, form: exports.Format, labels: Any, *, with_ai: bool) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(form.write(labels, with_ai=with_ai))


def _write_folder(folder: Path, labels: Any, *, with_ai: bool) -> int:
    """Photos by split and class, beside the two files that describe them. Returns how many."""
    folder.mkdir()
    _write_file(folder / "metadata.jsonl", exports.FORMATS["jsonl"], labels, with_ai=with_ai)
    _write_file(folder / "coco.json", exports.FORMATS["coco"], labels, with_ai=with_ai)
    count = 0
    for label in labels.iterator(chunk_size=exports.CHUNK):
        target = folder / exports.file_name(label)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(storage.path(label.image.stored_name), target)
        count += 1
    return count
