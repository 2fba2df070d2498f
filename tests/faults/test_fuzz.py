"""Thousands of broken photos: each is stored or refused with a documented code, quickly, and no process dies.

FUZZ says how many (`make fuzz` asks for ten times as many). All go straight to the reader; a tenth of them also goes
over HTTP and through a decoder process, where the rows are counted too.
"""

import os
import random
import struct
import time
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from cataract.ml.photos import examination
from cataract.ml.photos.refusals import PhotoRefused
from predictions.photos import intake
from predictions.photos.models import EyeImage
from tests import photos
from tests.factories import UserFactory
from tests.ml.test_bad_input import DOCUMENTED

FUZZ = int(os.environ.get("FUZZ", "10000"))
SEEDS = (
    photos.encode(photos.eye(64, 48)),
    photos.encode(photos.eye(64, 48), progressive=True, exif=photos.exif(6, make="Canon")),
    photos.encode(photos.eye(48, 48), "PNG"),
    photos.encode(photos.eye(64, 48), "WEBP"),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.filterwarnings("ignore::UserWarning")]


def mutated(number: int) -> bytes:
    """One of the seeds with one thing wrong; the same number gives the same bytes."""
    rng = random.Random(number)
    data = bytearray(rng.choice(SEEDS))
    place = rng.randrange(len(data))
    match rng.randrange(7):
        case 0:
            del data[place:]
        case 1:
            for _ in range(rng.randrange(1, 30)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            data[place:] = (other := rng.choice(SEEDS))[rng.randrange(len(other)) :]
        case 3:
            data[place:place] = data[place : place + rng.randrange(1, 4000)]
        case 4:
            data[place : place + 4] = struct.pack(">I", rng.randrange(2**32))
        case 5:
            data[place : place + rng.randrange(1, 200)] = b""
        case 6:
            head = rng.randrange(min(len(data), 200))  # where formats keep their numbers
            data[head] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(data)


def test_the_reader_takes_or_refuses_each() -> None:
    taken = 0
    for number in range(FUZZ):
        started = time.perf_counter()
        try:
            found = examination.examine(mutated(number))
            assert found.pixels.dtype == np.uint8 and found.pixels.shape[2] == 3
            taken += 1
        except PhotoRefused as refused:
            assert refused.code in DOCUMENTED, number
        assert time.perf_counter() - started < 5, number
    assert 0.05 * FUZZ < taken < 0.95 * FUZZ  # otherwise the mutations test nothing


@pytest.mark.django_db
def test_over_http_rows_change_only_with_201(settings: Any) -> None:
    settings.DECODER_PROCESSES = 1
    user = UserFactory.create(roles=["integrator"])
    _, key = tokens.create_token(user=user, name="fuzz", scopes=["upload"], days=1)
    client = Client(headers={"Authorization": f"Bearer {key}"})
    intake.examine(SEEDS[0])
    before = _decoders()
    for number in range(FUZZ // 10):
        cache.clear()  # this caller may ask more often than others
        rows = EyeImage.objects.count()
        fields = {"eye": "OD", "photo": SimpleUploadedFile("blob", mutated(number))}
        answer = client.post("/api/v1/predictions", fields)
        assert answer.status_code in (201, 400, 409, 413, 415, 422), (number, answer.content)
        assert EyeImage.objects.count() == rows + (answer.status_code == 201), number
    assert _decoders() == before, "a decoder process died"


def _decoders() -> list[int]:
    """The decoder processes of this test session."""
    import psutil

    family = psutil.Process().children()
    return sorted(child.pid for child in family if "cataract.ml.photos.decoders" in child.cmdline())
