"""The safety switch: where, since when and why the AI is off, and who switched it off and on again."""

from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Exists, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from predictions.sites.models import Site


class AiStopQuerySet(models.QuerySet["AiStop"]):
    def standing(self) -> Self:
        """The stops that nobody has lifted."""
        return self.filter(lifted_at__isnull=True)

    def at(self, site_id: int) -> Self:
        """The standing stops that hold at this site: its own, and the one for every site."""
        return self.standing().filter(Q(site__isnull=True) | Q(site=site_id))

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The stops of every site that `user` may send photos for, or see photos of."""
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        own = Site.users.through.objects.filter(user=user)
        return self.filter(Q(site__isnull=True) | Q(site__in=own.values("site")) | ~Exists(own))


class AiStop(models.Model):
    """The AI is off, at one site or everywhere, until it is lifted: people alone answer the photos that come meanwhile.

    Kept for ever. Every answer asks for the standing rows, so a stop holds from the next photo on, in every process.
    """

    site = models.ForeignKey(
        Site, on_delete=models.PROTECT, null=True, blank=True, related_name="ai_stops", help_text="Empty: every site."
    )
    reason = models.CharField(max_length=500)
    stopped_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    stopped_at = models.DateTimeField(default=timezone.now)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lift_reason = models.CharField(max_length=500, blank=True)

    objects = AiStopQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-stopped_at", "-pk"]
        default_permissions: ClassVar = ("view",)
        permissions: ClassVar = [("stop_ai", "Can switch the AI off and on")]
        constraints: ClassVar = [
            # Two NULLs would differ in a unique index: the stop for every site counts as that of site 0.
            models.UniqueConstraint(
                Coalesce("site", 0), condition=Q(lifted_at__isnull=True), name="one_standing_stop_per_site"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="stop_says_why"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lift_reason="")
                | Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lift_reason=""),
                name="lifted_stop_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"the AI is off at {self.where} since {self.stopped_at:%Y-%m-%d %H:%M}"

    @property
    def where(self) -> str:
        return str(self.site) if self.site is not None else "every site"
