"""The deployment of Ray Serve: replicas that hold the releases which answer now. The only module that imports Ray.

A question names its release, so champion, challenger and the arm of an A/B test are served side by side. A promotion is
a new row: `keep_serving` reads it and has each replica load the new champion while it still answers with the old one.
A replica that is asked for a release it does not hold yet loads it. No replica reads the database.
"""

import asyncio
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import ray
from django.conf import settings
from ray import serve

log = logging.getLogger(__name__)

APPLICATION = "cataract"
_POLL_SECONDS = 2.0
_OBJECT_STORE_BYTES = 100_000_000  # what is sent between processes of this host: some photos
_MOST_WAITING = 4  # times the photos that are meant to wait in a replica; beyond, they wait in the proxy

Held = tuple[tuple[str, str], ...]


class Replica:
    """Cascades in one process of Ray. One photo, or one batch, is computed at a time; others wait their turn."""

    def __init__(self) -> None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")
        django.setup()
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="inference")

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Load the releases that are asked for from now on, while photos are answered. Ray calls it first too."""
        from predictions.releases import serving  # needs Django's registry, which __init__ fills

        self._batched.set_max_batch_size(config["batch"])  # type: ignore[attr-defined]  # the decorator adds it
        for release, sha256 in config["releases"]:
            cascade = await asyncio.to_thread(serving.load_or_none, release, sha256)
            if cascade is not None and config["batch"] > 1 and not cascade.batches:
                log.warning(
                    "Release %s computes photos one at a time, whatever RAY_BATCH_SIZE says: the scales of its 8-bit "
                    "graphs are taken over a whole batch, and no answer may depend on another photo.",
                    release,
                )

    async def __call__(self, request: Any) -> Any:
        """Answer one question of `wire`: 200 with its outcome, 400, or 409 when the release cannot serve here."""
        from starlette.responses import Response

        status, body = await self._batched((request.url.query, await request.body()))
        return Response(body, status_code=status, media_type="application/json")

    @serve.batch(max_batch_size=1, batch_wait_timeout_s=0.0)
    async def _batched(self, asked: list[tuple[str, bytes]]) -> list[tuple[int, bytes]]:
        """Answer what has come in while the last batch was computed: nothing waits for a batch to fill."""
        return await asyncio.get_running_loop().run_in_executor(self._computing, _answer_all, asked)


def _answer_all(asked: list[tuple[str, bytes]]) -> list[tuple[int, bytes]]:
    from predictions.replicas import answers

    return answers.answer_all(asked)


def application(releases: Held) -> Any:
    """The application of Ray Serve that holds these releases, by id and sha256 of the manifest."""
    deployment = serve.deployment(Replica).options(  # type: ignore[attr-defined]  # Ray types it as a decorator
        name="Cascade",
        user_config={"releases": [list(release) for release in releases], "batch": settings.RAY_BATCH_SIZE},
        autoscaling_config={
            "min_replicas": settings.RAY_MIN_REPLICAS,
            "max_replicas": settings.RAY_MAX_REPLICAS,
            "target_ongoing_requests": settings.RAY_QUEUE_PER_REPLICA,
            "upscale_delay_s": 5,
            "downscale_delay_s": 120,
        },
        max_ongoing_requests=_MOST_WAITING * settings.RAY_QUEUE_PER_REPLICA,
        ray_actor_options={"num_cpus": settings.RAY_REPLICA_CPUS, "num_gpus": settings.RAY_REPLICA_GPUS},
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=10,
    )
    return deployment.bind()


def keep_serving(wanted: Callable[[], Held], say: Callable[[str], object]) -> None:
    """Run the application until SIGINT or SIGTERM, with the releases that `wanted` names now.

    With RAY_ADDRESS in the cluster there, where it goes on without this process; else in a Ray of this host, which
    ends with it. Raises what Ray raises when it has gone: whoever started this starts it again.
    """
    is_own, stop = not settings.RAY_ADDRESS, threading.Event()
    _connect(is_own)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ray has just set handlers of its own, which end the process
        signal.signal(number, lambda *_: stop.set())
    try:
        serve.start(http_options={"host": settings.RAY_HOST, "port": settings.RAY_PORT})
        held: Held | None = None
        while not stop.is_set():
            if (now := wanted()) != held:
                started = time.monotonic()
                serve.run(application(now), name=APPLICATION, route_prefix="/")
                held = now
                names = ", ".join(release for release, _ in now) or "no release"
                say(f"Replicas hold {names} ({time.monotonic() - started:.1f} s).")
            serve.status()
            stop.wait(_POLL_SECONDS)
    finally:
        if is_own:
            serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _connect(is_own: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Replicas import this module by its name.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    if not is_own:
        ray.init(address=settings.RAY_ADDRESS, log_to_driver=False)
        return
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one to the home folder
    ray.init(
        num_cpus=max(1, round(settings.RAY_MAX_REPLICAS * settings.RAY_REPLICA_CPUS + 0.5)),
        object_store_memory=_OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
    )
