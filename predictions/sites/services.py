"""Find the site, the patient and the device that a sender states; a new patient or device gets its row."""

from django.contrib.auth.models import User

from cataract.core.errors import BadField
from predictions.sites.models import Device, Patient, Site


def find_site(*, user: User | None, name: str) -> Site:
    """The site called `name` among those of `user`; without a name the user's only or first one.

    Raises BadField (site_unknown) that names the sites which the user may state.
    """
    sites = Site.objects.of(user)
    if not name:
        own = None if user is None else user.sites.order_by("pk").first()
        return own or Site.objects.default()
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
    """The device of this site with this name, made at its first photo; None without a name."""
    return Device.objects.get_or_create(site=site, name=name)[0] if name else None
