"""Read photos in child processes: a file that crashes, fills or stalls a decoder cannot harm the web process.

A child serves one photo at a time over a socket and ends with its caller. Its memory is limited, and its processor time
for each photo: a second until the header is accepted, and a second again to decode, more only in proportion to pixels
above 24 million. No sender occupies two children, so slow files of one hold nobody else up. Messages are a line of JSON
followed by bytes, never pickle. Why a pool and not a process per photo, and what it costs:
docs/decisions/0005-decoder-processes.md.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cataract.ml.photos import containers
from cataract.ml.photos.examination import Examined, examine
from cataract.ml.photos.images import Header, Limits, derivative
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode

SECONDS = 30.0  # wall time for one photo; then the child is killed
# Processor time; then the child is killed. A good JPEG of 12 megapixels needs 0.03 in all, a PNG of 64 about two.
HEADER_SECONDS = 1.0  # to check the file, and for the picture inside a DICOM file
DICOM_SECONDS = 2.0  # instead, where the library for DICOM may have to be loaded first
DECODE_SECONDS = 1.0  # to decode up to so many pixels, and more in proportion
DECODE_PIXELS = 24_000_000
DERIVATIVE_SECONDS = 4.0  # for a photo that was accepted before
MEMORY_BYTES = 1_500_000_000  # in addition to what the idle child has mapped
WAIT_SECONDS = 30.0  # wait for a free child
_FRAME = struct.Struct(">IQ")
_ROOT = Path(__file__).resolve().parents[3]
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")  # of the environment; no secrets


class PoolBusy(TimeoutError):
    """Every decoder process stayed busy."""


class _Slots:
    """Permits to use a child, in the order of asking.

    A caller has one at most. What comes from nobody (derivatives, commands) gets all but one, so an upload finds one.
    """

    def __init__(self, count: int) -> None:
        self._free, self._most_of_nobody = count, max(1, count - 1)
        self._held: Counter[object] = Counter()
        self._guard = threading.Lock()
        self._waiting: list[tuple[object, threading.Lock]] = []  # callers, each with a gate at which its thread waits

    @contextlib.contextmanager
    def one(self, caller: object) -> Iterator[None]:
        """Hold a permit. Raises PoolBusy."""
        self._take(caller)
        try:
            yield
        finally:
            with self._guard:
                self._free += 1
                self._held[caller] -= 1
                self._held += Counter()  # forget who holds none
                self._hand_out()

    def _take(self, caller: object) -> None:
        place = (caller, threading.Lock())
        place[1].acquire()
        with self._guard:
            self._waiting.append(place)
            self._hand_out()
        if place[1].acquire(timeout=WAIT_SECONDS):
            return
        with self._guard:
            if place in self._waiting:  # else its gate was opened at the last moment
                self._waiting.remove(place)
                raise PoolBusy("No decoder process became free.")

    def _hand_out(self) -> None:
        """Open the gates of those who waited longest and may have a permit."""
        for place in self._waiting[:]:
            caller, gate = place
            if self._free and self._held[caller] < (self._most_of_nobody if caller is None else 1):
                self._free -= 1
                self._held[caller] += 1
                self._waiting.remove(place)
                gate.release()


class DecoderPool:
    """At most `processes` children, started when they are needed. Thread-safe."""

    def __init__(self, processes: int, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._slots = _Slots(processes)
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()

    def examine(
        self,
        data: bytes,
        *,
        limits: Limits = Limits(),  # noqa: B008  frozen
        caller: object = None,
    ) -> Examined:
        """`examination.examine` in a child. Raises PhotoRefused, also for a photo that killed the child; PoolBusy."""
        answer, body = self._ask({"do": "examine", "limits": asdict(limits)}, data, caller)
        stripped, shape = answer["stripped"], answer["shape"]
        return Examined(
            header=Header(**answer["header"]),
            data=bytes(body[:stripped]),
            pixels=np.frombuffer(body, dtype=np.uint8, offset=stripped).reshape(shape),
            hashes=answer["hashes"],
            quality=answer["quality"],
            timings=answer["timings"],
        )

    def derivative(self, data: bytes, *, max_side: int) -> bytes:
        """`images.derivative` in a child. Raises PhotoRefused, PoolBusy."""
        return bytes(self._ask({"do": "derivative", "max_side": max_side}, data, None)[1])

    def start(self) -> None:
        """Start one child before the first photo arrives."""
        self._idle.put(_Child())

    def close(self) -> None:
        """End the idle children."""
        while not self._idle.empty():
            self._idle.get().end()

    def _ask(self, request: dict[str, Any], data: bytes, caller: object) -> tuple[dict[str, Any], bytearray]:
        with self._slots.one(caller):
            reply = self._ask_one(request, data) or self._ask_one(request, data)
        if reply is None:  # two children died reading it
            raise PhotoRefused(RefusalCode.IMAGE_CORRUPT)
        answer, body = reply
        if "refused" in answer:
            code, detail, facts = answer["refused"]
            raise PhotoRefused(RefusalCode(code), detail, **facts)
        return answer, body

    def _ask_one(self, request: dict[str, Any], data: bytes) -> "tuple[dict[str, Any], bytearray] | None":
        """The reply of one child; None when it died, perhaps before it got this photo: then another one is asked."""
        try:
            child = self._idle.get_nowait()
        except queue.Empty:
            child = _Child()
        try:
            reply = child.ask(request, data, self._seconds)
        except TimeoutError:
            child.end()
            raise PhotoRefused(RefusalCode.DECODE_TIMEOUT) from None
        except (OSError, EOFError):
            if child.end() == -signal.SIGPROF:
                raise PhotoRefused(RefusalCode.DECODE_TIMEOUT) from None
            return None
        except BaseException:
            child.end()
            raise
        self._idle.put(child)
        return reply


class _Child:
    """One decoder process and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes]
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cataract.ml.photos.decoders"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, **threads, "PYTHONPATH": str(_ROOT)},
                cwd="/",
            )

    def ask(self, request: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Raises TimeoutError, and OSError or EOFError when the process died."""
        self._socket.settimeout(seconds)
        _send(self._socket, request, data)
        return _receive(self._socket)

    def end(self) -> int:
        """Kill it and return its exit status, negative for a signal."""
        self._socket.close()
        if self._process.poll() is None:
            try:
                self._process.wait(timeout=0.1)  # it may be dying of a signal that tells why
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()


def _send(to: socket.socket, header: dict[str, Any], *parts: Any) -> None:
    line = json.dumps(header).encode()
    to.sendall(_FRAME.pack(len(line), sum(len(part) for part in parts)) + line)
    for part in parts:
        to.sendall(part)


def _receive(source: socket.socket) -> tuple[dict[str, Any], bytearray]:
    line_length, body_length = _FRAME.unpack(_exactly(source, _FRAME.size))
    header: dict[str, Any] = json.loads(_exactly(source, line_length))
    return header, _exactly(source, body_length)


def _exactly(source: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        received = source.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return data


# The child -----------------------------------------------------------------------------------------------------------
def serve(caller: socket.socket) -> None:
    """Answer requests until the caller closes the socket."""
    while True:
        try:
            request, data = _receive(caller)
        except (EOFError, OSError):
            return
        header, parts = _answer(request, bytes(data))
        _grant_time(0)
        _send(caller, header, *parts)


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Any]]:
    try:
        if request["do"] == "derivative":
            _grant_time(DERIVATIVE_SECONDS)
            return {}, [derivative(data, max_side=request["max_side"])]
        _grant_time(DICOM_SECONDS if containers.sniff(data) == "DICOM" else HEADER_SECONDS)
        examined = examine(data, limits=Limits(**request["limits"]), before_decoding=_grant_time_to_decode)
    except PhotoRefused as refused:
        return {"refused": [refused.code, refused.detail, refused.facts]}, []
    except MemoryError:
        return {"refused": [RefusalCode.TOO_MANY_PIXELS, "memory", {}]}, []
    header = {
        "header": asdict(examined.header),
        "stripped": len(examined.data),
        "shape": examined.pixels.shape,
        "hashes": examined.hashes,
        "quality": examined.quality,
        "timings": examined.timings,
    }
    return header, [examined.data, np.ascontiguousarray(examined.pixels).reshape(-1).data]


def _grant_time(seconds: float) -> None:
    """Let the kernel end this process after so much more processor time; 0: never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _grant_time_to_decode(header: Header) -> None:
    _grant_time(DECODE_SECONDS * max(1.0, header.width * header.height / DECODE_PIXELS))


def _bound_memory() -> None:
    import resource

    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # no /proc: such a kernel ignores this limit anyway
        return
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, mapped + MEMORY_BYTES))


def main() -> None:
    """Run a child process; its standard input is the socket."""
    import resource

    import cv2
    from PIL import Image

    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # see `_grant_time`
    Image.init()  # before the limits, and before the first photo waits for it
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder has nothing to write
    _bound_memory()
    serve(socket.socket(fileno=0))


if __name__ == "__main__":
    main()
