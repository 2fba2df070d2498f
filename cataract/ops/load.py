"""Throughput of a whole running system: real web server, real worker, callers over HTTP.

Each way of running it gets its own system: fresh data folder, SQLite, private broker, a free port on 127.0.0.1. The
system of the environment is neither read nor written.
"""

import contextlib
import io
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import cv2
import numpy as np
from django.conf import settings
from PIL import Image

from cataract.ml.synthetic import render_eye
from clients.cataract_client import Client, Problem

_START_SECONDS = 90
_CALL_SECONDS = 60
_POLL_SECONDS = 0.02
_LIMITLESS = dict.fromkeys(("RATE_UPLOAD", "RATE_READ", "RATE_WRITE", "RATE_ANONYMOUS"), "1000000/min")
_OF_ITS_OWN = {"DATABASE_URL", "REDIS_URL", "PRODUCTION", "SECRET_KEY", "ALLOWED_HOSTS", "STATIC_ROOT", "HOST"}
_OF_ITS_WAY = {"DECODER_PROCESSES", "INFERENCE", "WEB_PROCESSES", "WORKER_PROCESSES", "RAY_ADDRESS", "RAY_URL"}
_REPLICAS_READY = "Replicas hold"  # what `manage.py serve` says
Say = Callable[[str], None]


class LoadFailed(Exception):
    """A system did not start, or refused a photo; the message is for a person."""


@dataclass(frozen=True)
class Way:
    """One way of running the system: what is set differently from `make run`."""

    name: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """What callers measured: milliseconds from sending a photo to having its answer, photos per second overall."""

    way: str
    photos: int
    per_second: float
    p50_ms: float
    p95_ms: float
    later: int  # photos answered after their upload request had ended
    ratio: float  # throughput relative to the first way


@dataclass(frozen=True)
class Minute:
    """One minute of a sustained load: photos per second, milliseconds from sending a photo to having its answer."""

    number: int
    photos: int
    per_second: float
    p50_ms: float
    p95_ms: float


@dataclass
class _Sum:
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    later: int = 0


def ways(processes: int) -> tuple[Way, ...]:
    """Everything in one process first; then with decoder processes, and scaled out, by Ray too if it is installed."""
    replicas = {"INFERENCE": "ray", "RAY_MIN_REPLICAS": str(processes), "RAY_MAX_REPLICAS": str(processes)}
    ray = Way(f"one web process, {processes} Ray replicas answer", {**replicas, "RAY_REPLICA_CPUS": "0.5"})
    return (
        Way("one process does all", {"DECODER_PROCESSES": "0"}),
        Way("one web process, decoders", {}),
        Way(f"{processes} web processes, decoders", {"WEB_PROCESSES": str(processes)}),
        Way(
            f"one web process, {processes} Celery workers answer",
            {"INFERENCE": "celery", "WORKER_PROCESSES": str(processes)},
        ),
        *([ray] if find_spec("ray") else []),
    )


def measure(
    photos: Sequence[bytes], chosen: Sequence[Way], *, callers: int, rounds: int, say: Say = lambda line: None
) -> list[Measured]:
    """Send all photos to each way in turn, `rounds` times in alternating order, from `callers` threads.

    The photos must differ from each other, or the system refuses them; the first `callers` of them warm it up and do
    not count. Raises LoadFailed.
    """
    sums = {way.name: _Sum() for way in chosen}
    with TemporaryDirectory(prefix="cataract-load-") as folder:
        template, paths = Path(folder) / "template", _written(photos, Path(folder))
        say("Preparing a system ...")
        key = _set_up(template)
        for number in range(rounds):
            for way in chosen if number % 2 == 0 else reversed(chosen):
                place = Path(folder) / "running"
                shutil.copytree(template, place)
                with _running(place, way) as port:
                    client = Client(f"http://127.0.0.1:{port}", key, timeout=_CALL_SECONDS)
                    _send_all(client, paths[:callers], callers)
                    started = time.perf_counter()
                    answers = _send_all(client, paths[callers:], callers)
                    seconds = time.perf_counter() - started
                shutil.rmtree(place)
                say(f"round {number + 1} of {rounds}, {way.name}: {len(answers) / seconds:.1f} photos a second")
                sums[way.name].seconds += seconds
                sums[way.name].times += [ms for ms, _ in answers]
                sums[way.name].later += sum(later for _, later in answers)
    plain = _rate(sums[chosen[0].name])
    return [_measured(way, found, plain) for way, found in sums.items()]


def sustain(
    way: Way, *, minutes: float, callers: int, say: Say = lambda line: None, window: float = 60.0
) -> list[Minute]:
    """Send photos to one system without a pause; what `callers` threads measured in each minute (`window` seconds).

    The photos are small, and new without end: what slows down with the number of photos that came before shows in the
    last minute. Raises LoadFailed.
    """
    photos, turn = varied_photos(), threading.Lock()
    found: list[tuple[float, float]] = []  # seconds since the start, milliseconds

    with TemporaryDirectory(prefix="cataract-load-") as folder:
        say("Preparing a system ...")
        place = Path(folder) / "running"
        key = _set_up(place)
        with _running(place, way) as port:
            client = Client(f"http://127.0.0.1:{port}", key, timeout=_CALL_SECONDS)
            started = time.perf_counter()

            def keep_sending(caller: int) -> None:
                path = Path(folder) / f"photo-{caller}"
                while time.perf_counter() - started < minutes * 60:
                    with turn:
                        photo = next(photos)
                    path.write_bytes(photo)
                    ms, _ = _send(client, path)
                    found.append((time.perf_counter() - started, ms))

            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(keep_sending, range(callers)))
    return _by_minute(found, minutes * 60, window)


def _by_minute(found: Sequence[tuple[float, float]], seconds: float, window: float) -> list[Minute]:
    """The measurements of each whole window."""
    minutes = []
    for number in range(int(seconds // window)):
        times = [ms for at, ms in found if number * window <= at < (number + 1) * window]
        p50, p95 = np.percentile(times, (50, 95)) if times else (float("nan"), float("nan"))
        minutes.append(Minute(number + 1, len(times), len(times) / window, float(p50), float(p95)))
    return minutes


def varied_photos() -> Iterator[bytes]:
    """Photos of 320 x 240 px without end, of which no two look alike: rendered eyes under shadows of their own."""
    eyes = [render_eye(seed, size=320)[40:280].astype(np.float32) for seed in range(8)]
    for seed in itertools.count():
        shadows = np.random.default_rng(seed).normal(0, 60, size=(8, 8)).astype(np.float32)
        wide = cv2.resize(shadows, (320, 240), interpolation=cv2.INTER_LINEAR)[..., None]
        varied = np.clip(eyes[seed % len(eyes)] + wide, 0, 255).astype(np.uint8)
        yield cv2.imencode(".jpg", varied[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def drawn_photos(count: int) -> Iterator[bytes]:
    """Different JPEG photos of 1280 x 960 px and about 0.4 MB: synthetic eyes with the grain of a sensor."""
    for seed in range(count):
        eye = render_eye(seed, opacity=seed % 5 / 5, size=320)
        drawn = cv2.resize(eye, (1280, 1280), interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng(seed).normal(0, 5, size=(960, 1280, 1)).astype(np.float32)
        file = io.BytesIO()
        Image.fromarray(np.clip(drawn[160:1120] + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
        yield file.getvalue()


def _written(photos: Sequence[bytes], folder: Path) -> list[Path]:
    """The photos as files, which the client streams."""
    paths = [folder / f"photo-{number}" for number in range(len(photos))]
    for path, photo in zip(paths, photos, strict=True):
        path.write_bytes(photo)
    return paths


def _rate(found: _Sum) -> float:
    return len(found.times) / found.seconds


def _measured(way: str, found: _Sum, plain: float) -> Measured:
    p50, p95 = np.percentile(found.times, (50, 95))
    rate = _rate(found)
    return Measured(way, len(found.times), rate, float(p50), float(p95), found.later, rate / plain)


def _environment(folder: Path, **env: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OF_ITS_OWN | _OF_ITS_WAY}
    return {**kept, **_LIMITLESS, "DATA_DIR": str(folder), "LOG_LEVEL": "ERROR", **env}


def _set_up(folder: Path) -> str:
    """An empty system with users and the starter release; return the key that its setup prints."""
    command = [sys.executable, "-m", "cataract", "setup", "--no-static"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=_environment(folder), capture_output=True, text=True, check=False
    )
    found = re.search(r"^ +(cat_\S+)$", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise LoadFailed(f"A system could not be set up:\n{done.stdout}{done.stderr}")
    return found[1]


@contextlib.contextmanager
def _running(folder: Path, way: Way) -> Iterator[int]:
    """The port of a system that answers; it is stopped afterwards."""
    port = _free_port()
    env = _environment(folder, PORT=str(port), RAY_PORT=str(_free_port()), **way.env)
    command = [sys.executable, "-m", "cataract", "up", "--no-mlflow"]
    with (folder / "load.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=log, stderr=log)
    try:
        _await_answer(port, process, folder / "load.log", replicas=way.env.get("INFERENCE") == "ray")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _await_answer(port: int, process: "subprocess.Popen[bytes]", log: Path, *, replicas: bool) -> None:
    """Return when the web server answers, and with `replicas` these too. Raises LoadFailed."""
    deadline = time.monotonic() + _START_SECONDS * (2 if replicas else 1)
    while True:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/api/v1/health/ready", timeout=5):
            if not replicas or _REPLICAS_READY in log.read_text(errors="replace"):
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise LoadFailed(f"The system did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)


def _send_all(client: Client, photos: Sequence[Path], callers: int) -> list[tuple[float, bool]]:
    """(milliseconds, whether the answer came later than the upload) of each photo."""
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(lambda photo: _send(client, photo), photos))


def _send(client: Client, photo: Path) -> tuple[float, bool]:
    started = time.perf_counter()
    try:
        row = client.upload(photo, patient=f"P-{uuid.uuid4().hex[:12]}", eye="OD")
        later = row["status"] == "queued"
        while row["status"] == "queued":
            time.sleep(_POLL_SECONDS)
            row = client.prediction(row["id"])
    except Problem as problem:
        raise LoadFailed(f"A photo was refused with {problem.status}: {problem}") from None
    return (time.perf_counter() - started) * 1000, later


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
