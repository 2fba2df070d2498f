"""The pages of drift are looked at: everything that is watched, and a segment that has drifted."""

from datetime import timedelta

from django.utils import timezone

from predictions.drift.models import DriftCheck, DriftSegment
from predictions.photos import storage
from predictions.photos.models import EyeImage
from tests.browser.conftest import Site
from tests.factories import SiteFactory, jpeg_bytes
from tests.predictions.makers import answered, make_champion


def test_the_drift_pages_are_looked_at(site: Site) -> None:
    champion = make_champion()
    rows = answered(12)
    for number, row in enumerate(rows):
        name, digest = storage.store(jpeg_bytes(number + 1), suffix=".jpg")
        EyeImage.objects.filter(pk=row.image_id).update(stored_name=name, sha256=digest, stored_sha256=digest)
    members = [[str(row.pk), row.image.cluster_id] for row in rows]
    now = timezone.now()
    segment = DriftSegment.objects.create(
        kind="all", release=champion, state="drifted", since=now - timedelta(days=2), confirmed_at=now,
        reference=members[:6], recent=members[6:],
    )  # fmt: skip
    DriftSegment.objects.create(kind="site", site=SiteFactory.create(name="North"), release=champion)
    for number in range(30):
        size = max(0.0, (number - 20) / 8) - 0.05
        found = {
            "n_reference": 1000, "n_recent": 200, "reference": 0.412, "recent": 0.412 + size / 10, "difference": size,
            "low": size - 0.15, "high": size + 0.15, "p": 0.2 if size < 0.4 else 1e-7, "alpha": 1e-5,
            "has_drifted": size >= 0.4,
        }  # fmt: skip
        cloud = found | {"reference": None, "recent": None, "difference": 0.5 + size / 4, "low": 0.45, "high": 0.8}
        figure = {"value": 0.91, "low": 0.84, "high": 0.96, "n": 200}
        DriftCheck.objects.create(
            segment=segment, release=champion, state="drifted" if size >= 0.4 else "stable",
            at=now - timedelta(days=30 - number), n_reference=1000, n_recent=200, alpha=1e-5,
            measures=dict.fromkeys(("brightness", "contrast", "disagreement"), found) | {"embedding": cloud},
            estimated={"sensitivity": figure, "specificity": figure, "accuracy": figure},
        )  # fmt: skip
    page = site.log_in("admin")
    page.goto("/review/drift/")
    site.look(page, "drift")
    page.get_by_role("link", name="All photos").click()
    page.get_by_text("Data of Brightness").first.click()
    site.look(page, "drift-segment")
