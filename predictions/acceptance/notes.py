"""What senders are told about who decides: on the upload page, and on a result that the AI decided alone."""

from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db.models import Q

from predictions.acceptance import rules
from predictions.acceptance.models import Acceptance
from predictions.releases.models import Release
from predictions.sites.models import Site
from predictions.stops.models import AiStop

_NAMED = 3  # sites that the note on the upload page describes one by one
_SIDES = {"cataract": "“cataract”", "normal": "“no sign of cataract”"}


class Note(NamedTuple):
    title: str
    text: str


def upload_note(user: User) -> Note | None:
    """Who decides about the photos that `user` sends; None where the release's own band decides (AUTO_ANSWERS)."""
    if AiStop.objects.visible_to(user).standing().filter(site=None).exists():
        return Note("People only: the AI is switched off.", "The photo is stored, and a clinician answers.")
    if not rules.needs_acceptance():
        return None
    sites = list(Site.objects.of(user)[: _NAMED + 1])
    champion = Release.objects.champions().values_list("pk", flat=True).first()
    if len(sites) > _NAMED or champion is None:
        text = "The AI advises. It answers alone only where enough of the site's own labels have accepted its answers."
        return Note("Clinicians decide until automatic answers are accepted.", text)
    accepted: dict[str, set[str]] = {site.name: set() for site in sites}
    by_device = {site.name for site in sites if site.accepts_by_device}
    for (_, side, _), row in Acceptance.objects.standing(releases=[champion], sites=sites).items():
        if row.accepted:
            accepted[row.site.name].add(side)
    if not any(accepted.values()):
        text = "The AI advises. Its answers are not accepted here yet: that takes enough of your own labelled photos."
        return Note("A clinician decides on each photo.", text)
    if not by_device and all(sides == set(rules.SIDES) for sides in accepted.values()):
        return None
    text = " ".join(f"{name}: {_who(sides, name in by_device)}." for name, sides in accepted.items())
    return Note("A clinician decides where the AI's answers are not accepted yet.", text)


def _who(sides: set[str], by_device: bool) -> str:
    if not sides:
        return "a clinician decides on each photo"
    answers = " and ".join(_SIDES[side] for side in sorted(sides))
    return f"the AI answers {answers} alone where it is sure{', for accepted cameras' if by_device else ''}"


def guarantee_of(*, site: int, device: int | None, release: str, side: str, at: datetime) -> str:
    """What an answer of the AI alone was backed by when it was given."""
    mine = Q(by_device=False) | Q(by_device=True, device=device)
    row = Acceptance.objects.filter(mine, site=site, release=release, side=side, at__lte=at).first()
    if row is None or not row.accepted:
        return (
            "The guarantee behind this answer is that of the photos the release was trained and tested on. "
            "It has not been shown for this site."
        )
    if row.basis == Acceptance.Basis.HAND:
        return f"Automatic answers of this kind were accepted at this site by hand: {row.reason}"
    return f"Automatic answers of this kind were accepted at this site by its own labels: {row.reason}"
