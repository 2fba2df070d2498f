"""Reads: how far each side is, at the sites of a user."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import QuerySet

from predictions.acceptance.models import Acceptance
from predictions.sites.models import Site
from review.acceptance.models import Progress
from review.acceptance.wording import Side


def sites_of(user: User) -> QuerySet[Site]:
    """The sites whose acceptance `user` may see: every site for those who may see every photo, else the user's own."""
    every = Site.objects.all()
    return every if user.has_perm("predictions.view_every_eyeimage") else every.of(user)


def sides_at(sites: Iterable[Site]) -> list[Side]:
    """Each side of the releases that answer now, by site, device and side: as last counted, and as it stands."""
    keys = [site.pk for site in sites]
    rows = list(Progress.objects.filter(site__in=keys).select_related("site", "device", "release"))
    standing = Acceptance.objects.standing(releases={row.release_id for row in rows}, sites=keys)
    return [Side(row, standing.get((row.scope, row.side, row.release_id))) for row in rows]


def changes_at(sites: Iterable[Site]) -> QuerySet[Acceptance]:
    """What was accepted and withdrawn at these sites, for every release, the newest first."""
    rows = Acceptance.objects.filter(site__in=[site.pk for site in sites])
    return rows.select_related("site", "device", "release", "by")
