"""News: answers of clinicians that a sender has not seen yet, and who wants the e-mail digest."""

from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone


class NewsQuerySet(models.QuerySet["News"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The news of `user`; nobody sees another user's."""
        return self.filter(user=user) if isinstance(user, User) else self.none()

    def unseen(self) -> Self:
        return self.filter(seen_at__isnull=True)

    def unmailed(self) -> Self:
        """News that no mail has told yet and that its user has not seen."""
        return self.unseen().filter(mailed_at__isnull=True)


class News(models.Model):
    """One prediction whose answer by clinicians is new to the user who sent the photo.

    One row for each user and prediction: a later answer makes the same row new again. It holds no answer, so whoever
    counts or mails news is shown none.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    prediction = models.ForeignKey("predictions.Prediction", on_delete=models.CASCADE, related_name="news")
    is_urgent = models.BooleanField(
        default=False, help_text="An answer changed that had been told: the mail is sent at once."
    )
    at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True, help_text="When its mail was begun: sent at most once.")

    objects = NewsQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        verbose_name_plural = "news"
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "prediction"], name="one_news_per_prediction")]
        indexes: ClassVar = [
            models.Index(fields=["user"], condition=Q(seen_at__isnull=True), name="news_unseen"),
            models.Index(
                fields=["is_urgent", "at"],
                condition=Q(seen_at__isnull=True, mailed_at__isnull=True),
                name="news_unmailed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_id} for {self.user_id}"


class MailChoice(models.Model):
    """Whether a user gets the e-mail digest. Without a row: yes."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_choice")
    wants_digest = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.user_id}: {'digest' if self.wants_digest else 'no digest'}"
