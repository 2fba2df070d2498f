"""Several processes open a new MLflow store at the same instant: its tables are made once, and none of them fails."""

from pathlib import Path

import pytest

from tests.system import System

# Forked after the import, which takes seconds; a barrier lets them go together.
OPEN_TOGETHER = """
import multiprocessing
import mlflow
from training.tracking.mlflow_client import connect

def make_experiment(number):
    barrier.wait()
    return int(connect().create_experiment(f"of {number}"))

forked = multiprocessing.get_context("fork")
barrier = forked.Barrier(3)
with forked.Pool(3) as pool:
    print(sorted(pool.map(make_experiment, range(3), chunksize=1)))
"""


@pytest.mark.slow
def test_processes_that_open_a_new_store_together_all_succeed(tmp_path: Path) -> None:
    assert System(tmp_path).python(OPEN_TOGETHER) == "[1, 2, 3]"
