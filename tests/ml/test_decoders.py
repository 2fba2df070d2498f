"""A photo that kills a decoder process does not harm its caller."""

import os
import resource
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import psutil
import pytest
from PIL import Image

from cataract.ml.photos import decoders, examination, images
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


def fill_bytes(length: int) -> bytes:
    return JPEG[:2] + b"\xff" * length + JPEG[2:]


def junk(between: bytes) -> bytes:
    """The photo with these bytes after its first segment."""
    end = 4 + int.from_bytes(JPEG[4:6])
    return JPEG[:end] + between + JPEG[end:]


def comments(count: int) -> bytes:
    return JPEG[:2] + b"\xff\xfe\x00\x02" * count + JPEG[2:]


def texts(count: int) -> bytes:
    png = photos.encode(photos.eye(), "PNG")
    body = b"tEXta\0b"
    chunk = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    return png[:33] + chunk * count + png[33:]


def progressive(scans: int, side: int = 6000) -> bytes:
    """A JPEG of this side that repeats its last scan: each one is another pass over all pixels."""
    data = photos.encode(Image.new("RGB", (side, side), (90, 120, 60)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * scans + data[-2:]


SLOW = {
    "fill bytes": fill_bytes(15_000_000),
    "junk between segments": junk(b"\0" * 15_000_000),
    "stuffed zeros between segments": junk(b"\xff\0" * 7_000_000),
    "fill bytes that end in a zero": junk(b"\xff" * 15_000_000 + b"\0"),
    "comments": comments(1_500_000),
    "comments after the first scan": JPEG[:-2] + b"\xff\xfe\x00\x02" * 1_500_000 + JPEG[-2:],
    "chunks": texts(400_000),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_file_that_would_take_long_is_refused_within_half_a_second(kind: str) -> None:
    started = time.process_time()
    with pytest.raises(PhotoRefused) as refused:
        examination.examine(SLOW[kind])
    assert refused.value.code == "decode_timeout" and time.process_time() - started < 0.5


@pytest.mark.parametrize("usual", [fill_bytes(2000), comments(300), texts(3000), junk(b"\0" * 500)])
def test_what_cameras_and_programs_write_is_read(usual: bytes) -> None:
    examined = examination.examine(usual)
    assert set(examined.pixels.shape) == {320, 240, 3}
    assert np.array_equal(images.decode(examined.data), examined.pixels), "what is stored is the whole photo"


def test_a_photo_that_decodes_too_long_ends_its_child_after_its_processor_time(one: DecoderPool) -> None:
    one.examine(JPEG)
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    with pytest.raises(PhotoRefused) as refused:
        one.examine(progressive(60))
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before  # of the child that ended, from its start on
    assert refused.value.code == "decode_timeout" and used < 6
    assert one.examine(JPEG).header.format == "JPEG"


def asking(slots: decoders._Slots, caller: str | None, do: Callable[[], object]) -> threading.Thread:
    """A thread that does this with a permit; it has asked for one when this returns."""

    def run() -> None:
        with slots.one(caller):
            do()

    before = len(slots._waiting) + sum(slots._held.values())
    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while len(slots._waiting) + sum(slots._held.values()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return thread


def test_one_caller_never_has_two_children_and_waits_in_the_order_of_asking() -> None:
    order: list[str] = []
    slots = decoders._Slots(3)
    with slots.one("A"):
        threads = [asking(slots, "A", partial(order.append, f"A {number}")) for number in range(5)]
        with slots.one("B"), slots.one("C"):
            other = asking(slots, "D", lambda: order.append("D"))
        other.join(20)
        assert order == ["D"] and slots._held["A"] == 1
    for thread in threads:
        thread.join(20)
    assert order == ["D", *(f"A {number}" for number in range(5))] and slots._free == 3


def test_derivatives_leave_a_child_for_uploads() -> None:
    slots, end = decoders._Slots(3), threading.Event()
    threads = [asking(slots, None, lambda: end.wait(20)) for _ in range(4)]
    assert slots._held[None] == 2
    with slots.one("A"):
        end.set()
    for thread in threads:
        thread.join(20)
    assert slots._free == 3


def test_whoever_finds_no_child_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "WAIT_SECONDS", 0.05)
    slots = decoders._Slots(1)
    with slots.one("A"), pytest.raises(decoders.PoolBusy), slots.one("B"):
        pass
    with slots.one("B"):
        pass


def _dies(self: decoders._Child, *arguments: object) -> None:
    os.kill(self._process.pid, signal.SIGSEGV)
    raise EOFError
