"""`manage.py bench`: speed of the cascade relative to a plain pipeline, on the same photos and cores."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from cataract.core.errors import ADD_TRAINING_SET
from cataract.ml.learn.bench import bench
from cataract.ml.learn.bench import photos as benchphotos
from cataract.ml.learn.bench.bench import Escalation, Row
from cataract.ml.learn.bench.retraining import measure_retraining
from cataract.ml.learn.bench.systems import has_plain_pipeline
from cataract.ml.learn.bench.timing import Times, disturbance
from cataract.ml.release.manifest import ReleaseCorrupt, read_manifest
from predictions.releases import store
from predictions.releases.models import Release
from training.tracking.measurement import MLFLOW_OPTION, NotRecorded, record


class Command(BaseCommand):
    help = (
        "Measure the serving release, and an architecture with random weights (nothing is downloaded), against a "
        "plain pipeline: PIL decodes the whole photo, two complete torch encoders, LightGBM's scikit-learn wrapper."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--images", type=Path, metavar="DIR", help="Photos to measure with instead of synthetic eyes."
        )
        parser.add_argument("--threads", type=int, default=1, help="Threads per call, for both pipelines (1).")
        parser.add_argument("--callers", type=int, default=bench.CALLERS, help="Concurrent callers (8).")
        parser.add_argument("--rounds", type=int, default=5, help="How often each photo is answered (5).")
        parser.add_argument("--arch", default="ViT-B-32", help="An open_clip architecture; none leaves it out.")
        parser.add_argument(
            "--training", action="store_true", help="Time only a retraining of the fast model on cached embeddings."
        )
        parser.add_argument(
            "--embeddings", type=int, default=10_000, help="Number of embeddings for --training (10,000)."
        )
        parser.add_argument("--trials", type=int, default=30, help="Trials of the search for --training (30).")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument("--mlflow", action="store_true", help=MLFLOW_OPTION)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["training"]:
            self._training(options)
            return
        threads, rounds, callers = options["threads"], options["rounds"], options["callers"]
        if min(threads, rounds, callers) < 1:
            raise CommandError("--threads, --rounds and --callers must be at least 1.")
        arch = "" if options["arch"] == "none" else options["arch"]
        if not has_plain_pipeline():
            self.stderr.write(
                "torch is not installed: there is no plain pipeline to compare with, and no architecture with random "
                f"weights. Only the release is measured. {ADD_TRAINING_SET}."
            )
        if busy := disturbance():
            self.stderr.write(busy)
        try:
            photos = benchphotos.photos_of(options["images"]) if options["images"] else benchphotos.drawn_photos()
            rows, costs = bench.measure(
                _folder(), photos, arch=arch, rounds=rounds, threads=threads, callers=callers, say=self.stderr.write
            )
        except (ReleaseCorrupt, ValueError, OSError) as error:
            raise CommandError(str(error)) from None
        result = bench.as_json(rows, costs, threads=threads, rounds=rounds)
        self.stdout.write(result if options["json"] else "\n".join([*_table(rows), "", *_costs(costs)]))
        if options["mlflow"]:
            self._record("speed", _figures(rows, costs), options, json.loads(result))

    def _record(self, what: str, figures: dict[str, Any], options: dict[str, Any], result: Any) -> None:
        chosen = ("threads", "callers", "rounds", "arch", "embeddings", "trials")
        params = {name: options[name] for name in chosen} | {"photos": "given" if options["images"] else "drawn"}
        folder = _folder()
        try:
            release = read_manifest(folder).id if folder else ""
            url = record("bench", name=what, figures=figures, params=params, result=result, release=release)
        except (NotRecorded, ReleaseCorrupt) as error:
            raise CommandError(str(error)) from None
        self.stderr.write(f"Recorded: {url}")

    def _training(self, options: dict[str, Any]) -> None:
        photos, trials = options["embeddings"], options["trials"]
        folder = _folder()
        if folder is None or photos < 100 or trials < 1:
            raise CommandError("--training needs a release, at least 100 embeddings and one trial.")
        if busy := disturbance():
            self.stderr.write(busy)
        try:
            found = measure_retraining(folder, photos=photos, trials=trials, say=self.stderr.write)
        except (ReleaseCorrupt, ValueError) as error:
            raise CommandError(str(error)) from None
        if options["mlflow"]:
            self._record("retraining", {"retraining": found.as_dict()}, options, found.as_dict())
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict()))
            return
        self.stdout.write(
            f"{found.trials} trials ({found.pruned} pruned) on {found.photos} cached embeddings of {found.inputs} "
            f"numbers: {found.seconds} s by the clock, {found.processor_seconds} s of one processor, on {found.cores} "
            "cores."
        )


def _folder() -> Path | None:
    """The release that serves; the shipped one where none does; None where there is neither."""
    try:
        serving = Release.objects.champions().first()
    except DatabaseError:
        serving = None
    folder = store.folder_of(serving) if serving else Path(settings.STARTER_DIR)
    return folder if folder.is_dir() else None


def _figures(rows: Sequence[Row], costs: Sequence[Escalation]) -> dict[str, Any]:
    """The measurements by system, photos and callers, for MLflow."""
    return {f"{row.system}/{row.photos}/{row.callers} callers": asdict(row) for row in rows} | {
        f"{cost.system}/escalation": asdict(cost) for cost in costs
    }


def _table(rows: Sequence[Row]) -> list[str]:
    head = f"{'system':<24}{'photos':<9}{'callers':>7}   {'ours: both models':<30}{'ours: fast only':<30}{'plain':<30}"
    lines = [
        "Milliseconds a photo, decoding included: median / 95th percentile, of the processor (photos a second)",
        f"{head}ratio",
    ]
    for row in rows:
        times = "".join(f"{_words(value):<30}" for value in (row.ours, row.ours_fast, row.plain))
        ratio = f"{row.ratio:.1f} x faster" if row.ratio else ""
        lines.append(f"{row.system:<24}{row.photos:<9}{row.callers:>7}   {times}{ratio}".rstrip())
    return lines


def _words(times: Times | None) -> str:
    return f"{times.median_ms:.1f} / {times.p95_ms:.1f}, {times.cpu_ms:.1f} ({times.per_second:.1f})" if times else "-"


def _costs(costs: Sequence[Escalation]) -> list[str]:
    lines = []
    for cost in costs:
        same = f"; lowest cosine to the plain pipeline's embedding {cost.same_answer:.4f}" if cost.same_answer else ""
        lines.append(
            f"{cost.system}: asking the accurate model adds {cost.tail_ms:.1f} ms, {100 * cost.share:.0f} % of a "
            f"forward pass ({cost.forward_ms:.1f} ms){same}"
        )
    return lines
