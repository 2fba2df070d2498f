"""Uploads that are killed at every fault point, again and again: run as a program in a separate system.

One process prepares everything and forks; each child is a whole web process (middleware, views, services, models, one
thread) that gets one upload over HTTP and dies of SIGKILL at its point, as in a power cut. Its client then sends the
same photo with the same key again, to another child. Prints what was found as JSON; CRASHES says how many.
"""

import hashlib
import io
import json
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

import numpy as np  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from PIL import Image  # noqa: E402

from cataract.core import tokens  # noqa: E402
from cataract.core.failpoints import POINTS  # noqa: E402
from cataract.ops import doctor  # noqa: E402
from cataract.roles import ensure_roles  # noqa: E402
from predictions.answering import worker  # noqa: E402
from predictions.answering.models import Prediction  # noqa: E402
from predictions.photos.models import EyeImage  # noqa: E402
from predictions.releases import services, store  # noqa: E402
from review.queue import worker as cases  # noqa: E402
from tests.releases import make_tiny_release  # noqa: E402

IN_REQUEST = [point for point in POINTS if point != "predict.running"]  # a point of the worker
PAST = "2020-01-01T00:00:00Z"


def photo(number: int) -> bytes:
    """A photo that is unique in this run."""
    noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """(exit status, what `work` returned, as JSON) of a forked process; a signal's number is negative."""
    connections.close_all()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            with os.fdopen(write, "w") as out:
                json.dump(work(), out)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(text) if text else None


def upload(key: str, number: int, point: str = "") -> Callable[[], Any]:
    def work() -> Any:
        os.environ["FAILPOINT"] = point
        client = Client(
            headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False, SERVER_NAME="localhost"
        )
        fields = {"patient": f"P-{number}", "eye": "OD", "photo": SimpleUploadedFile("eye.jpg", photo(number))}
        answer = client.post("/api/v1/predictions", fields, headers={"Idempotency-Key": f"k-{number}"})
        for thread in threading.enumerate():
            if thread.name == "nudge":  # there is no broker, and this must not end the process
                thread.join(timeout=0.01)
        return [answer.status_code, answer.json().get("image", {}).get("sha256", answer.json())]

    return work


def prepare() -> str:
    """A champion and an integrator; return the key."""
    release = store.register_release(folder=make_tiny_release(Path(settings.DATA_DIR) / "tiny"))
    services.make_champion(release=release, user=None, reason="test")
    Client(SERVER_NAME="localhost").get("/api/v1/health/ready")  # children inherit what this imports and loads
    ensure_roles()
    user = User.objects.create_user("integrator")
    user.groups.set(Group.objects.filter(name="integrator"))
    return tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)[1]


def crash(key: str, number: int, point: str) -> str:
    """Kill one upload at `point`, send it again; return what went wrong, empty if nothing did."""
    status, answer = in_child(upload(key, number, point))
    if status != -signal.SIGKILL:
        return f"{point}: not killed: {status} {answer}"
    status, answer = in_child(upload(key, number))
    if status == 0 and answer[0] == 409 and answer[1]["code"] == "request_running":
        in_child(let_leases_end)  # the killed request seems to run until then
        status, answer = in_child(upload(key, number))
    if status != 0 or answer[0] not in (201, 202):
        return f"{point}: the retry got {answer}"
    if answer[1] != hashlib.sha256(photo(number)).hexdigest():
        return f"{point}: the retry got another photo"
    return ""


def let_leases_end() -> None:
    """End the leases, as time would."""
    Prediction.objects.filter(status="queued").update(lease_until=PAST)


def recover() -> Any:
    """Do what time and the sweepers do: end leases, finish what was left and open cases, however long the run took."""
    let_leases_end()
    while worker.sweep():
        pass
    cases.sweep()
    checks = [doctor.check_photos, doctor.check_releases]
    found = [finding for check in checks for finding in check(lambda text: None)]
    found += [*doctor.check_database(), *doctor.check_predictions()]
    return {
        "images": EyeImage.objects.count(),
        "predictions": Prediction.objects.count(),
        "done": Prediction.objects.filter(status="done", release__isnull=False).count(),
        "doctor": [finding.message for finding in found if finding.level == "error"],
    }


def main() -> None:
    key, crashes = prepare(), int(os.environ["CRASHES"])
    points = Counter(IN_REQUEST[number % len(IN_REQUEST)] for number in range(crashes))
    wrong = [crash(key, number, IN_REQUEST[number % len(IN_REQUEST)]) for number in range(crashes)]
    status, end = in_child(recover)
    print(json.dumps({"points": points, "wrong": [line for line in wrong if line], "status": status, **(end or {})}))


if __name__ == "__main__":
    main()
