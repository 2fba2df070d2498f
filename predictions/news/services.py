"""Record news for senders, mark it as seen, and choose whether the digest is mailed."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from predictions.news.models import MailChoice, News


def record_news(*, user_id: int | None, prediction_id: UUID, is_urgent: bool) -> None:
    """An answer of clinicians that the sender of a photo has not seen. Call it in the transaction of the answer."""
    if user_id is None:
        return  # imported: nobody waits for it
    News.objects.update_or_create(
        user_id=user_id,
        prediction_id=prediction_id,
        defaults={"is_urgent": is_urgent, "at": timezone.now(), "seen_at": None, "mailed_at": None},
    )


def withdraw_news(*, prediction_ids: Iterable[UUID]) -> None:
    """Forget unseen news of answers that were taken back."""
    News.objects.unseen().filter(prediction_id__in=prediction_ids).delete()


def mark_seen(*, user: User, prediction_id: UUID | None = None) -> int:
    """Mark the user's news as seen, of one prediction or all; return how many were new."""
    rows = News.objects.visible_to(user).unseen()
    if prediction_id is not None:
        rows = rows.filter(prediction_id=prediction_id)
    return rows.update(seen_at=timezone.now()) if rows.exists() else 0  # whoever only looks writes nothing


def choose_digest(*, user: User, wants_digest: bool) -> None:
    """Switch the e-mail digest of this user on or off. Mails about changed answers do not depend on it."""
    MailChoice.objects.update_or_create(user=user, defaults={"wants_digest": wants_digest})


def wants_digest(user: User) -> bool:
    """Whether this user gets the digest, as far as mail is configured and the user has an address."""
    return not MailChoice.objects.filter(user=user, wants_digest=False).exists()
