"""Find the site, the patient and the device that a sender states, and merge two spellings of a device."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.errors import BadField
from predictions.sites.models import Device, DeviceSpelling, Patient, Site


def find_site(*, user: User | None, name: str) -> Site:
    """The site called `name` among those of `user`; without a name the user's only or first one.

    Raises BadField (site_unknown) that names the sites which the user may state.
    """
    sites = Site.objects.of(user)
    if not name:
        return Site.objects.preferred_by(user).first() or Site.objects.default()
    site = sites.filter(name__iexact=name).first()
    if site is None:
        known = ", ".join(sites.values_list("name", flat=True)[:20]) or "none"
        raise BadField("site", f"There is no site {name!r} for you. Known sites: {known}.", code="site_unknown")
    return site


def ensure_site(*, name: str) -> Site:
    """The site called `name`, made if there is none; for imports by people who may make sites."""
    return Site.objects.get_or_create(name=name)[0] if name else Site.objects.default()


def ensure_patient(*, site: Site, key: str) -> Patient | None:
    """The patient of this site with this pseudonym, made at its first photo; None without a key."""
    return Patient.objects.get_or_create(site=site, key=key)[0] if key else None


def ensure_device(*, site: Site, name: str) -> Device | None:
    """The device of this site with this name or spelling, made at its first photo; None without a name."""
    if not name:
        return None
    known = Device.objects.filter(site=site, name=name).first()
    known = known or Device.objects.filter(spellings__site=site, spellings__name=name).first()
    return known or Device.objects.get_or_create(site=site, name=name)[0]


def merge_devices(*, target: Device, others: Iterable[Device], user: User) -> int:
    """Merge devices into another one of their site: their photos move, and their names become its spellings.

    Returns how many photos moved. Raises BadField for a device of another site.
    """
    merged = [device for device in others if device.pk != target.pk]
    if any(device.site_id != target.site_id for device in merged):
        raise BadField("target", "Only devices of one site can be merged.")
    moved = 0
    with transaction.atomic():
        for device in merged:
            moved += device.images.update(device=target)
            device.spellings.update(device=target)
            DeviceSpelling.objects.create(site=target.site, name=device.name, device=target, merged_by=user)
            device.delete()
    return moved
