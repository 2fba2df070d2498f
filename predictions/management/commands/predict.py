"""manage.py predict: answer photos on the command line, one line each."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from cataract.core.errors import DomainError
from cataract.ml.cascade.cascade import Cascade, Outcome
from predictions.answering import services
from predictions.answering.errors import DuplicatePhoto
from predictions.answering.models import Prediction
from predictions.photos import intake
from predictions.photos.models import EyeImage
from predictions.releases import serving

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".dcm"}


class Command(BaseCommand):
    help = (
        "Predict photos: one line each, in the order given. Photos are stored like uploads unless --no-log. "
        "A photo that fails is reported, the others continue, and the exit code is 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", help="A photo, or a folder with all photos below it.")
        parser.add_argument("--json", action="store_true", help="One JSON object per line.")
        parser.add_argument("--no-log", action="store_true", help="Store nothing.")
        parser.add_argument(
            "--mode", choices=Prediction.Mode.values, default=Prediction.Mode.CASCADE, help="Which models to run."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cascade = serving.champion()
        except DatabaseError as error:
            raise CommandError(f"The database is not ready ({error}). Run `manage.py migrate` first.") from None
        if cascade is None:
            raise CommandError("No release is in service. Run `manage.py install_starter`, or promote a release.")
        failed = 0
        for path in _photos(options["paths"]):
            line = self._predict(path, cascade, options)
            failed += "error" in line
            self._print(line, as_json=options["json"])
        if failed:
            raise CommandError(f"{failed} of the photos failed.")

    def _predict(self, path: Path, cascade: Cascade, options: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            data = path.read_bytes()
            if options["no_log"]:
                facts = _of_outcome(
                    cascade.predict([intake.examine(data, name=path.name).pixels], mode=options["mode"])[0]
                )
            else:
                facts = _of_row(_logged(data, path.name, options["mode"], cascade.release_id))
        except OSError as error:
            return {"path": str(path), "error": f"Cannot be read: {error.strerror}.", "code": "unreadable"}
        except DomainError as error:
            return {"path": str(path), "error": error.message, "code": error.code}
        return {"path": str(path), **facts, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}

    def _print(self, line: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(line))
        elif "error" in line:
            self.stderr.write(f"{line['path']}: {line['error']}")
        else:
            self.stdout.write(_in_words(line))
        sys.stdout.flush()


def _photos(paths: list[str]) -> Iterator[Path]:
    """The named files and every photo below the named folders."""
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _ENDINGS and file.is_file())
        if not files:
            raise CommandError(f"There is no photo below {path} (JPEG, PNG, WebP or DICOM).")
        yield from files


def _logged(data: bytes, name: str, mode: str, release_id: str) -> Prediction:
    """The prediction of a photo, stored like an upload; the existing one if this release already answered it."""
    try:
        return services.upload_photo(data=data, user=None, source=EyeImage.Source.COMMAND, name=name, mode=mode)
    except DuplicatePhoto as duplicate:
        row = duplicate.prediction
        if row is not None and row.release_id == release_id and row.mode == mode:
            return row
    return services.upload_photo(
        data=data, user=None, source=EyeImage.Source.COMMAND, name=name, mode=mode, send_anyway=True
    )


def _of_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "decision": outcome.decision,
        "needs_review": outcome.needs_review,
        "reasons": list(outcome.reasons),
        "probability": outcome.probability,
        "fast": outcome.fast_probability,
        "accurate": outcome.accurate_probability,
        "release": outcome.release_id,
    }


def _of_row(prediction: Prediction) -> dict[str, Any]:
    return {
        "decision": prediction.decision or None,
        "needs_review": prediction.needs_review,
        "reasons": prediction.reasons,
        "probability": prediction.probability,
        "fast": prediction.fast_probability,
        "accurate": prediction.accurate_probability,
        "release": prediction.release_id,
    }


def _in_words(line: dict[str, Any]) -> str:
    probability = "" if line["probability"] is None else f" p={line['probability']:.3f}"
    review = f" needs review ({', '.join(line['reasons'])})" if line["needs_review"] else ""
    answer = line["decision"] or "no answer"
    return f"{line['path']}: {answer}{probability}{review} [{line['release']}, {line['milliseconds']} ms]"
