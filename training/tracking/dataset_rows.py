"""The rows of a run's datasets in MLflow: written once, and again without photos that may not be named any more."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from training.tracking.mlflow_client import connect, find_run

ROWS = "dataset/rows.csv"
COLUMNS = ("sha256", "label", "split", "cluster", "weight")


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of `COLUMNS`: with the photos of the installation, enough to train on the same again.

    No pseudonym and no photo: a photo is named by the SHA-256 of its file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def forget_rows(run: str, keep: Callable[[list[str]], set[str]]) -> int:
    """Write a run's rows again without those that `keep` leaves out of the SHA-256 given; return how many went.

    Raises what MLflow raises.
    """
    client = connect()
    if find_run(client, run) is None or ROWS not in {file.path for file in client.list_artifacts(run, "dataset")}:
        return 0
    with TemporaryDirectory() as folder:
        text = Path(client.download_artifacts(run, ROWS, folder)).read_text(encoding="utf-8")
        rows = [tuple(row[name] for name in COLUMNS) for row in csv.DictReader(io.StringIO(text))]
        kept = keep([row[0] for row in rows])
        left = [row for row in rows if row[0] in kept]
        if len(left) < len(rows):
            path = Path(folder) / "again" / Path(ROWS).name
            write_rows(path, left)
            client.log_artifact(run, str(path), str(Path(ROWS).parent))
    return len(rows) - len(left)
