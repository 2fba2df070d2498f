"""Compare a release with the champion, state the causes of its flips, and send photos of a comparison to readers."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.errors import WrongStatus
from predictions.releases.models import Release
from review.labels.models import Label
from review.queue import services as queue_services
from training.comparison import tasks as comparison_tasks
from training.comparison.models import Comparison, FlipCause
from training.comparison.promotable import PromotionRefused
from training.datasets.models import Dataset


def request_comparison(*, release: Release) -> None:
    """Ask a worker to compare `release` with the champion on the newest dataset. Raises WrongStatus."""
    champion = Release.objects.champions().first()
    if champion is None or champion.pk == release.pk:
        raise WrongStatus("There is no other champion to compare this release with.")
    if not Dataset.objects.exists():
        raise WrongStatus("There is no frozen dataset yet. Start a training run first: it freezes one.")
    nudge(comparison_tasks.compare_releases, release.pk)


def note_flips(*, user: User | None, release: Release, causes: Mapping[str, str]) -> None:
    """`note_flip` for each photo of the standing comparison. causes: {image id: cause}."""
    comparison = Comparison.objects.standing(release)
    for image, cause in causes.items():
        note_flip(user=user, comparison=comparison, image=image, cause=cause)


def note_flip(*, user: User | None, comparison: Comparison | None, image: str, cause: str) -> None:
    """Store why it is accepted that this photo turns from right to wrong; the last cause counts, and all stay.

    Raises PromotionRefused for a photo that is no such flip, and for an unknown cause.
    """
    if comparison is None or image not in comparison.right_to_wrong():
        raise PromotionRefused(f"Photo {image} does not turn from right to wrong: it needs no cause.")
    if cause not in FlipCause.Cause.values:
        raise PromotionRefused(f"{cause!r} is not a cause. Choose one of {', '.join(FlipCause.Cause.values)}.")
    last = comparison.standing_causes().get(image)
    if last is None or last.cause != cause or last.noted_by != user:
        with transaction.atomic():
            noted = FlipCause.objects.create(comparison=comparison, image_id=UUID(image), cause=cause, noted_by=user)
            kept = ("comparison_id", "image_id", "cause", "noted_by_id", "noted_at")
            record(Act.FLIP_EXPLAINED, about=comparison.challenger, user=user, rows=[noted], columns=kept)


def send_to_readers(*, user: User, release: Release, images: Sequence[str], reason: str) -> int:
    """Send the labels of these photos to blind readers, unless their photos wait already; returns how many cases open.

    reason: why these photos, for the audit log; readers do not learn it.
    """
    labels = (
        Label.objects.best()
        .of_photos_in_use()
        .filter(image_id__in=[UUID(image) for image in images])
        .select_related("image")
    )
    with transaction.atomic():
        opened = queue_services.recheck_labels(labels=labels)
        record(Act.ADMIN_CHANGED, about=release, user=user, sent_to_readers=opened, photos=len(images), reason=reason)
    return opened
