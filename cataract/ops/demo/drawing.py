"""The visits of made-up patients, and the photos of their drawn eyes. Imports no Django: other processes draw."""

import io
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from PIL import Image

from cataract.core.processes import available_cores
from cataract.ml.labels import CATARACT, NORMAL
from cataract.ml.synthetic import render_eye

DAYS = 42
SITES = ("Hill clinic", "Market clinic")
CAMERA, LOAN = "slit lamp", "loan camera"
_LOAN_DAYS = 8  # in these last days the market clinic has another camera, whose photos are darker: drift
_SIZE = 288  # pixels


@dataclass(frozen=True)
class Visit:
    """One photo to come: when, of whom, and how it is drawn."""

    day: int  # before today
    patient: str
    site: str
    eye: str
    device: str
    seed: int
    opacity: float  # of the lens

    @property
    def truth(self) -> str:
        """What readers are to find."""
        return CATARACT if self.opacity > 0 else NORMAL


Drawn = Iterator[tuple[Visit, bytes]]


@contextmanager
def drawn_visits(patients: int) -> Iterator[Drawn]:
    """The visits of these patients, oldest first, each with its photo; other processes draw ahead.

    A fifth of the patients come for both eyes and once more later. The same number draws the same eyes.
    """
    visits = plan(patients)
    pool = ProcessPoolExecutor(available_cores(), mp_context=get_context("spawn"))
    try:
        yield zip(visits, pool.map(draw, visits, chunksize=4), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def plan(patients: int) -> Sequence[Visit]:
    """The visits of these patients, oldest first."""
    chance = random.Random(f"demo {patients}")
    return sorted(_visits(chance, patients), key=lambda visit: -visit.day)


def draw(visit: Visit) -> bytes:
    """The photo of a visit as a JPEG file."""
    chance = random.Random(visit.seed)
    is_loan = visit.device == LOAN
    pixels = render_eye(
        visit.seed,
        opacity=visit.opacity,
        size=_SIZE,
        iris_radius=chance.uniform(0.14, 0.27),
        x=chance.uniform(0.38, 0.62),
        y=chance.uniform(0.42, 0.58),
        rotation=chance.gauss(0, 15),
        light=chance.gauss(0.66 if is_loan else 1.0, 0.08),
        defocus=chance.uniform(0.004, 0.009) if is_loan else chance.uniform(0.001, 0.004),
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def _visits(chance: random.Random, patients: int) -> Iterator[Visit]:
    for number in range(patients):
        key, site = f"DEMO-{number + 1:03d}", number % len(SITES)
        opacity = chance.uniform(0.2, 1.0) if chance.random() < 0.45 else 0.0
        day = int(DAYS * (1 - (number + 1) / patients))
        seed = 1000 * (number + 1)
        comes_back = number % 5 == 0 and day > 0
        for eye in ("OD", "OS") if comes_back else (chance.choice(("OD", "OS")),):
            yield _visit(day, key, site, eye, seed, opacity)
            if comes_back:
                later = opacity + 0.2 if 0 < opacity <= 0.8 else opacity
                yield _visit(day // 2, key, site, eye, seed + 1, later)
            seed += 2


def _visit(day: int, patient: str, site: int, eye: str, seed: int, opacity: float) -> Visit:
    device = LOAN if site == 1 and day < _LOAN_DAYS else CAMERA
    return Visit(day, patient, SITES[site], eye, device, seed, opacity)
