"""What web processes and replicas send each other: a photo's pixels one way, its outcome as JSON the other.

Both come out as they went in, to the last bit, so a replica's answer is the one that the web process would give.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import numpy as np

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Outcome
from cataract.ml.labels import Decision, Mode, Reason, Route

PATH = "/answer"


class BadRequest(Exception):
    """A request that is not one of ours."""


@dataclass(frozen=True)
class Question:
    """One photo, and who answers it how: the release by id and by the sha256 of its manifest."""

    release: str
    sha256: str
    mode: str
    check_sure: bool
    pixels: Pixels


def address_of(question: Question) -> str:
    """The path and query of the request whose body are the bytes of `question.pixels`."""
    height, width = question.pixels.shape[:2]
    query = {
        "release": question.release,
        "sha256": question.sha256,
        "mode": question.mode,
        "check_sure": int(question.check_sure),
        "height": height,
        "width": width,
    }
    return f"{PATH}?{urlencode(query)}"


def read_question(query: str, body: bytes) -> Question:
    """The question of a request. Raises BadRequest."""
    given = dict(parse_qsl(query))
    try:
        shape = int(given["height"]), int(given["width"]), 3
        if min(shape) < 1 or given["mode"] not in list(Mode):
            raise BadRequest("There is no such photo or mode.")
        pixels = np.frombuffer(body, dtype=np.uint8).reshape(shape)
        return Question(given["release"], given["sha256"], given["mode"], given["check_sure"] == "1", pixels)
    except (KeyError, ValueError) as error:
        raise BadRequest(f"The request cannot be read: {error}") from error


def pack(outcome: Outcome) -> bytes:
    """An outcome as JSON."""
    embedding = outcome.embedding
    packed = None if embedding is None else b64encode(np.asarray(embedding, dtype=np.float32).tobytes()).decode()
    return json.dumps({**vars(outcome), "embedding": packed}).encode()


def unpack(data: bytes) -> Outcome:
    """The outcome that `pack` was given. Raises ValueError, KeyError or TypeError when `data` is something else."""
    given = json.loads(data)
    packed = given["embedding"]
    return Outcome(
        **{
            **given,
            "decision": Decision(given["decision"]),
            "reasons": tuple(Reason(reason) for reason in given["reasons"]),
            "route": Route(given["route"]),
            "embedding": None if packed is None else np.frombuffer(b64decode(packed), dtype=np.float32),
        }
    )
