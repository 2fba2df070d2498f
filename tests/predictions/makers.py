"""Many answered photos at once, as they come in over weeks."""

import hashlib
import itertools
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from predictions.answering.models import Prediction
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import pack
from predictions.photos.models import Cluster, EyeImage
from predictions.releases.models import Release
from predictions.sites.models import Device, Site
from tests.factories import ReleaseFactory, SiteFactory

_serial = itertools.count()


def make_champion(pk: str = "champion-of-the-test") -> Release:
    """The row of a champion that has served for a year."""
    long_ago = timezone.now() - timedelta(days=365)
    champion: Release = ReleaseFactory.create(id=pk, status="champion", promoted_at=long_ago, created_at=long_ago)
    return champion


def answered(
    count: int,
    *,
    until: datetime | None = None,
    a_day: float = 30,
    site: Site | None = None,
    device: Device | None = None,
    brighter: float = 0.0,
    seed: int = 0,
    **values: Any,
) -> list[Prediction]:
    """`count` photos of as many patients that the champion has answered, the last one at `until`, oldest first.

    brighter: how many standard deviations brighter than usual. values: of the photos.
    """
    rng = np.random.default_rng(seed)
    release = Release.objects.champions().get()
    last = until or timezone.now() - timedelta(minutes=1)
    place = site or SiteFactory.create()
    clusters = Cluster.objects.bulk_create(Cluster(split="train") for _ in range(count))
    times = [last - timedelta(days=(count - 1 - number) / a_day) for number in range(count)]
    images = EyeImage.objects.bulk_create(
        EyeImage(
            **{
                "sha256": (digest := hashlib.sha256(f"drift {next(_serial)}".encode()).hexdigest()),
                "stored_sha256": digest, "stored_name": f"{digest}.jpg", "format": "JPEG", "width": 640, "height": 480,
                "size": 1000, "site": place, "device": device, "cluster": cluster, "split": "train",
                "source": "upload", "created_at": at,
                "quality": {
                    "brightness": 0.5 + 0.1 * (rng.normal() + brighter), "contrast": rng.lognormal(-1.5, 0.3),
                    "sharpness": rng.normal(200, 40), "short_side": float(rng.choice([1080, 3024])),
                },
            }
            | values
        )
        for cluster, at in zip(clusters, times, strict=True)
    )  # fmt: skip
    p = rng.beta(0.4, 0.8, count)
    rows = Prediction.objects.bulk_create(
        Prediction(
            image=image, status="done", release=release, decision="cataract" if fast > 0.5 else "normal",
            probability=fast, fast_probability=fast, review_propensity=0.05, created_at=at, done_at=at, route="fast",
        )
        for image, at, fast in zip(images, times, p, strict=True)
    )  # fmt: skip
    Embedding.objects.bulk_create(
        Embedding(image=image, encoder=release.encoder, vector=pack(rng.normal(size=8))) for image in images
    )
    return list(rows)
