"""A client of the cataract screening API: one file, standard library only; copy it into your own system.

In Python:

    client = Client("https://screening.example", key="cat_...")
    result = client.wait(client.upload("eye.jpg", patient="P-1", eye="OD")["id"])

On the command line, with CATARACT_URL and CATARACT_KEY in the environment:

    python -m clients.cataract_client upload eye.jpg --patient P-1 --eye OD
"""

import argparse
import base64
import hashlib
import hmac
import json
import mimetypes
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

_AGAIN = (429, 502, 503, 504)  # temporary: try again with the same Idempotency-Key
_RUNNING = "request_running"  # ... and this code, while the first request with the key is running
_ATTEMPTS = 5
_STATES = ("queued", "waiting", "provisional", "final", "amended")


class Problem(Exception):
    """A refusal. `code` is for programs, `str()` a sentence for people; `status` is HTTP's (0: no answer at all)."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("detail", f"The server answered {status}.")))
        self.status = status
        self.code = str(body.get("code", ""))
        self.body = dict(body)


class Client:
    """Calls the API at `url` with a key; retries when the server is busy, and never creates anything twice."""

    def __init__(self, url: str, key: str, *, timeout: float = 60) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = timeout

    def upload(self, photo: str | Path, *, idempotency_key: str = "", **fields: Any) -> dict[str, Any]:
        """Send one photo; fields: patient, eye (OD or OS), mode, site, device, captured_at, may_train, send_anyway,
        retake_of."""
        return self._send("predictions", [("photo", Path(photo))], fields, idempotency_key)

    def upload_batch(
        self,
        photos: Sequence[str | Path] = (),
        *,
        archive: str | Path | None = None,
        table: str | Path | None = None,
        idempotency_key: str = "",
        **fields: Any,
    ) -> dict[str, Any]:
        """Send up to 100 photos, or one ZIP archive, with a CSV table if wanted."""
        files = [("photos", Path(photo)) for photo in photos]
        files += [(name, Path(path)) for name, path in (("archive", archive), ("table", table)) if path is not None]
        return self._send("batches", files, fields, idempotency_key)

    def prediction(self, prediction_id: str) -> dict[str, Any]:
        """One result as it is now."""
        return self.call("GET", f"predictions/{prediction_id}")

    def wait(self, prediction_id: str, *, seconds: float = 120) -> dict[str, Any]:
        """One result as soon as it is no longer queued. Raises TimeoutError after `seconds`."""
        return self._until(lambda: self.prediction(prediction_id), lambda row: row["status"] != "queued", seconds)

    def wait_for_final(self, prediction_id: str, *, seconds: float = 24 * 3600, pause: float = 60) -> dict[str, Any]:
        """One result as soon as its `state` is final or amended; asks every `pause` seconds.

        Raises TimeoutError after `seconds`. Clinicians may take hours: webhooks, or `changes`, ask less often.
        """
        ask = partial(self.prediction, prediction_id)
        return self._until(ask, lambda row: row["state"] in ("final", "amended"), seconds, pause=pause, longest=pause)

    def changes(self, since: datetime | str, **filters: Any) -> Iterator[dict[str, Any]]:
        """All results that changed at or after `since`: sent, answered, or with a final result given or amended.

        To follow them, note the time before you ask, minus a minute for clocks that differ, and ask from there next
        time; a result may then come twice. filters: state="final", or a list of states, and those of `predictions`.
        """
        moment = since if isinstance(since, str) else since.isoformat()
        return self.predictions(changed_since=moment, **filters)

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The progress of a batch."""
        return self.call("GET", f"batches/{batch_id}")

    def wait_batch(self, batch_id: str, *, seconds: float = 3600) -> dict[str, Any]:
        """A batch as soon as it is done or cancelled. Raises TimeoutError after `seconds`."""
        return self._until(lambda: self.batch(batch_id), lambda row: row["status"] != "running", seconds)

    def batch_results(self, batch_id: str) -> Iterator[dict[str, Any]]:
        """The outcome of each file."""
        return self.pages(f"batches/{batch_id}/results")

    def predictions(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """All results that this key may see, newest first; filters: patient, eye, state, answer, since, ..."""
        return self.pages("predictions", **filters)

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The rows of a list, page after page."""
        address: str | None = f"{path}?{urlencode(query, doseq=True)}" if query else path
        while address:
            page = self.call("GET", address)
            yield from page["results"]
            address = self._path_of(page["next"]) if page["next"] else None

    def train(self, *, idempotency_key: str = "", **choices: Any) -> dict[str, Any]:
        """Start a training run (needs the scope admin).

        choices: model, reason, base_release, search, trials, minutes, epochs, distil, teach_weight, teach_floor,
        max_missed, max_false_alarms, confidence, prevalence. What is left out keeps its default.
        """
        return self.call("POST", "training-runs", choices, idempotency_key=idempotency_key)

    def wait_run(self, run_id: str, *, seconds: float = 6 * 3600) -> dict[str, Any]:
        """A training run as soon as it is over or interrupted. Raises TimeoutError after `seconds`."""
        path = f"training-runs/{run_id}"
        return self._until(
            lambda: self.call("GET", path), lambda row: row["status"] not in ("queued", "running"), seconds
        )

    def add_webhook(self, url: str, events: Sequence[str], *, idempotency_key: str = "") -> dict[str, Any]:
        """Add an endpoint; the answer shows its `secret` only this once."""
        return self.call("POST", "webhooks", {"url": url, "events": list(events)}, idempotency_key=idempotency_key)

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str = ""
    ) -> dict[str, Any]:
        """Any other call with a JSON body; returns the JSON answer. Raises Problem."""
        data = None if body is None else json.dumps(body).encode()
        key = idempotency_key or (str(uuid.uuid4()) if method == "POST" else "")
        found: dict[str, Any] = json.loads(self._open(method, path, data, "application/json", key) or b"{}")
        return found

    def fetch(self, path: str) -> bytes:
        """The bytes of an answer that is not JSON: explanation, results.csv."""
        return self._open("GET", path, None, "", "")

    def _send(
        self, path: str, files: Sequence[tuple[str, Path]], fields: Mapping[str, Any], key: str
    ) -> dict[str, Any]:
        """A multipart form, streamed from the disk: memory does not grow with the files."""
        boundary = uuid.uuid4().hex
        with tempfile.TemporaryFile() as form:
            for name, value in fields.items():
                form.write(_part(boundary, name) + _text(value).encode() + b"\r\n")
            for name, file in files:
                form.write(_part(boundary, name, file))
                with file.open("rb") as content:
                    shutil.copyfileobj(content, form)
                form.write(b"\r\n")
            form.write(f"--{boundary}--\r\n".encode())
            kind = f"multipart/form-data; boundary={boundary}"
            found: dict[str, Any] = json.loads(self._open("POST", path, form, kind, key or str(uuid.uuid4())))
        return found

    def _open(self, method: str, path: str, data: "bytes | IO[bytes] | None", kind: str, key: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "*/*"}
        headers |= {"Content-Type": kind} if data is not None else {}
        headers |= {"Idempotency-Key": key} if key else {}
        safe = method == "GET" or bool(key)
        for attempt in range(1, _ATTEMPTS + 1):
            if data is not None and not isinstance(data, bytes):
                headers["Content-Length"] = str(data.seek(0, os.SEEK_END))
                data.seek(0)
            request = Request(f"{self.url}/api/v1/{path}", data=data, headers=headers, method=method)
            try:
                answer: HTTPResponse
                with urlopen(request, timeout=self._timeout) as answer:
                    return answer.read()
            except HTTPError as error:
                problem = _problem(error)
                busy = error.code in _AGAIN or problem.code == _RUNNING
                if not busy or not safe or attempt == _ATTEMPTS:
                    raise problem from None
                pause = float(error.headers.get("Retry-After") or attempt)
            except (URLError, TimeoutError, ConnectionError) as error:
                if not safe or attempt == _ATTEMPTS:
                    raise Problem(0, {"detail": f"No answer from {self.url}: {error}"}) from None
                pause = float(attempt)
            time.sleep(min(pause, 60))
        raise AssertionError("the last attempt returns or raises")

    def _path_of(self, address: str) -> str:
        parts = urlsplit(address)
        return f"{parts.path.removeprefix(urlsplit(self.url).path + '/api/v1/')}?{parts.query}"

    @staticmethod
    def _until(ask: Any, done: Any, seconds: float, *, pause: float = 0.5, longest: float = 10) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = ask()
            if done(found):
                return found
            if time.monotonic() + pause > deadline:
                raise TimeoutError(f"No answer within {seconds:.0f} s; nothing is lost. Ask again later.")
            time.sleep(pause)
            pause = min(pause * 1.5, longest)


def verify_webhook(secret: str, body: bytes, headers: Mapping[str, str], *, tolerance: float = 300) -> dict[str, Any]:
    """The message of a webhook. Raises ValueError when it is forged, changed, or older than `tolerance` seconds.

    `headers` are those of the request, `body` its bytes as they arrived. The scheme is Standard Webhooks, so every
    library of standardwebhooks.com works too. A secret from before `whsec_` is accepted as it is.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    moment = sent.get("webhook-timestamp", "")
    content = f"{sent.get('webhook-id', '')}.{moment}.".encode() + body
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    signatures = sent.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(expected.encode(), given.encode()) for given in signatures):
        raise ValueError("The signature is wrong.")
    if abs(time.time() - int(moment)) > tolerance:
        raise ValueError("The message is too old.")
    message: dict[str, Any] = json.loads(body)
    return message


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints JSON; returns 0, or 1 after a refusal."""
    options = _parser().parse_args(arguments)
    if not options.url or not options.key:
        print("Set CATARACT_URL and CATARACT_KEY, or give --url and --key.", file=sys.stderr)
        return 2
    client = Client(options.url, options.key)
    try:
        for found in _run(client, options):
            print(json.dumps(found, indent=2))
    except (Problem, TimeoutError, OSError) as error:
        code = f" ({error.code})" if isinstance(error, Problem) and error.code else ""
        print(f"{error}{code}", file=sys.stderr)
        return 1
    return 0


def _run(client: Client, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    said = {name: getattr(options, name, "") for name in ("patient", "eye", "mode", "site")}
    fields = {name: value for name, value in said.items() if value}
    if options.command == "upload":
        for photo in options.photos:
            yield client.wait(client.upload(photo, **fields)["id"])
    elif options.command == "batch":
        archives = [path for path in options.files if path.lower().endswith(".zip")]
        photos = [path for path in options.files if path not in archives]
        sent = client.upload_batch(photos, archive=next(iter(archives), None), table=options.table, **fields)
        yield client.wait_batch(sent["id"])
        yield from client.batch_results(sent["id"])
    elif options.command == "train":
        names = ("model", "reason", "base_release", *_WHOLE, *_NUMBERS)
        choices: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
        run = client.train(**choices, distil=options.distil)
        yield client.wait_run(run["id"]) if options.wait else run
    elif options.command == "result":
        yield client.prediction(options.id)
    elif options.command == "explanation":
        Path(options.file).write_bytes(client.fetch(f"predictions/{options.id}/explanation"))
    elif options.command == "list":
        given = {name: getattr(options, name) for name in ("patient", "state", "changed_since")}
        yield from client.predictions(**{name: value for name, value in given.items() if value})
    else:
        yield client.call("GET", options.command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cataract_client", description="Send eye photos and fetch results.")
    parser.add_argument("--url", default=os.environ.get("CATARACT_URL", ""), help="else CATARACT_URL")
    parser.add_argument("--key", default=os.environ.get("CATARACT_KEY", ""), help="else CATARACT_KEY")
    commands = parser.add_subparsers(dest="command", required=True)
    facts = argparse.ArgumentParser(add_help=False)
    facts.add_argument("--patient", default="", help="pseudonym, never a name")
    facts.add_argument("--eye", choices=["OD", "OS"], default="")
    facts.add_argument("--mode", choices=["cascade", "fast", "accurate", "always"], default="")
    facts.add_argument("--site", default="")
    upload = commands.add_parser("upload", parents=[facts], help="send photos of one eye and wait for the answers")
    upload.add_argument("photos", nargs="+")
    batch = commands.add_parser("batch", parents=[facts], help="send up to 100 photos or a ZIP and wait")
    batch.add_argument("files", nargs="+")
    batch.add_argument("--table", help="CSV: file, patient, eye, ...")
    for name, help_text in (("result", "one result"), ("explanation", "where the model looked, as PNG")):
        commands.add_parser(name, help=help_text).add_argument("id")
    commands.choices["explanation"].add_argument("file")
    listed = commands.add_parser("list", help="results, newest first")
    listed.add_argument("--patient", default="")
    listed.add_argument("--state", action="append", default=[], choices=_STATES, help="may be repeated")
    listed.add_argument("--changed-since", default="", help="a time, such as 2026-01-31T12:00:00Z")
    _add_train(commands.add_parser("train", help="start a training run (needs the scope admin)"))
    for name in ("system", "drift", "releases"):
        commands.add_parser(name)
    return parser


# The numbers of a training run; the admin's form states their limits.
_WHOLE = ("trials", "epochs")
_NUMBERS = ("minutes", "teach_weight", "teach_floor", "max_missed", "max_false_alarms", "confidence", "prevalence")


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("--model", choices=["fast", "accurate", "both"], help="both, when not given")
    train.add_argument("--reason", help="why, for the record")
    train.add_argument("--base-release", help="whose encoder to start from; else the champion's")
    train.add_argument("--search", choices=["tpe", "grid"], help="how the fast model's parameters are searched")
    for name in _WHOLE:
        train.add_argument(f"--{name}", type=int)
    for name in _NUMBERS:
        train.add_argument(f"--{name.replace('_', '-')}", type=float)
    train.add_argument("--distil", action="store_true", help="the accurate model teaches the fast one")
    train.add_argument("--wait", action="store_true", help="until the run is over")


def _part(boundary: str, name: str, file: Path | None = None) -> bytes:
    lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{name}"']
    if file is not None:
        label = file.name.replace("\\", "_").replace('"', "%22").replace("\r", "").replace("\n", "")
        lines[1] += f'; filename="{label}"'
        lines.append(f"Content-Type: {mimetypes.guess_type(file.name)[0] or 'application/octet-stream'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _problem(error: HTTPError) -> Problem:
    try:
        body = json.loads(error.read())
    except ValueError:
        body = {}
    return Problem(error.code, body if isinstance(body, dict) else {})


if __name__ == "__main__":
    sys.exit(main())
