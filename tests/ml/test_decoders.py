"""A photo that kills a decoder process does not harm its caller."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from cataract.ml.photos import decoders, examination
from cataract.ml.photos.decoders import DecoderPool
from cataract.ml.photos.images import Limits
from cataract.ml.photos.refusals import PhotoRefused
from tests import photos

JPEG = photos.encode(photos.eye(), exif=photos.exif(6, make="Canon"))


@pytest.fixture
def one() -> Iterator[DecoderPool]:
    found = DecoderPool(1, seconds=20)
    yield found
    found.close()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "cataract.ml.photos.decoders" in child.cmdline()]


def test_a_child_answers_what_the_process_itself_would(one: DecoderPool) -> None:
    there, here = one.examine(JPEG), examination.examine(JPEG)
    assert np.array_equal(there.pixels, here.pixels)
    assert (there.header, there.data, there.hashes) == (here.header, here.data, here.hashes)
    assert there.quality == here.quality and set(there.timings) == set(here.timings)
    assert one.derivative(JPEG, max_side=64).startswith(b"\xff\xd8\xff")


def test_a_refusal_keeps_its_code(one: DecoderPool) -> None:
    with pytest.raises(PhotoRefused) as refused:
        one.examine(JPEG, limits=Limits(max_pixels=100))
    assert refused.value.code == "too_many_pixels"
    assert refused.value.facts == {"width": 320, "height": 240, "limit": 100}


def test_a_child_that_was_killed_is_replaced_unnoticed(one: DecoderPool) -> None:
    mine = set(children())
    one.examine(JPEG)
    (child,) = set(children()) - mine
    child.send_signal(signal.SIGKILL)
    child.wait(5)
    assert one.examine(JPEG).header.format == "JPEG"


def test_a_photo_that_kills_its_child_is_refused_and_the_next_is_read(
    one: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders._Child, "ask", _dies)
    with pytest.raises(PhotoRefused) as refused:
        one.examine(JPEG)
    assert refused.value.code == "image_corrupt"
    monkeypatch.undo()
    assert one.examine(JPEG).header.format == "JPEG"


def test_a_child_that_does_not_answer_is_given_up() -> None:
    impatient, mine = DecoderPool(1, seconds=20), set(children())
    impatient.examine(JPEG)
    (child,) = set(children()) - mine
    child.suspend()
    impatient._seconds = 0.3
    started = time.monotonic()
    with pytest.raises(PhotoRefused) as refused:
        impatient.examine(JPEG)
    assert refused.value.code == "decode_timeout" and time.monotonic() - started < 10
    assert not child.is_running()
    impatient.close()


def test_many_threads_share_few_children(one: DecoderPool) -> None:
    mine = set(children())
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(one.examine(JPEG).header.format)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["JPEG"] * 8 and len(set(children()) - mine) == 1


def test_a_child_has_no_secret_and_ends_with_its_caller(one: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for children")
    mine = set(children())
    one.examine(JPEG)
    (child,) = set(children()) - mine
    assert "SECRET_KEY" not in child.environ()
    os.close(one._idle.queue[0]._socket.detach())
    child.wait(5)


def _dies(self: decoders._Child, *arguments: object) -> None:
    os.kill(self._process.pid, signal.SIGSEGV)
    raise EOFError
