"""Failed sign-ins make the next one wait, longer each time; nobody is ever locked out, least of all by strangers.

Four counters, each of the last hour:

* pair: one name from one address. Whoever types a password wrongly waits here.
* account: one name from anywhere. Slows guesses from many addresses, but a person never waits long for strangers.
* address: any name from one address. Slows whoever tries many names.
* device: one name in a browser in which that person has signed in before. Where the browser is known, this counter
  alone decides, so nobody else can make its owner wait.

An attempt is counted before the password is checked, so that many at once do not all come before the first counts, and
taken back when the password is right.
"""

import ipaddress
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.crypto import get_random_string, salted_hmac

from cataract.accounts.models import FailedSignIns
from cataract.core.http.addresses import client_address

_FORGOTTEN_AFTER = timedelta(hours=1)
_DEVICE_SALT, _DEVICE_DAYS, _DEVICE_USERS = "cataract.known-device", 180, 5


@dataclass(frozen=True)
class Limit:
    """`free` failures cost nothing; the next wait is `first` seconds, then twice as long each, up to `longest`."""

    free: int
    first: int
    longest: int

    def wait(self, failures: int) -> int:
        return 0 if failures < self.free else min(self.longest, self.first * 2 ** min(failures - self.free, 20))


Scope = FailedSignIns.Scope
LIMITS = {
    Scope.PAIR: Limit(free=5, first=30, longest=900),
    Scope.DEVICE: Limit(free=5, first=30, longest=900),
    Scope.ACCOUNT: Limit(free=50, first=1, longest=30),
    Scope.ADDRESS: Limit(free=30, first=5, longest=60),
}


class MustWait(Exception):
    """This attempt comes too early; its password was not looked at."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def begin(request: HttpRequest, name: str) -> None:
    """Count an attempt to sign in under `name`. Raises MustWait, then nothing was counted."""
    now = timezone.now()
    user = User.objects.filter(username=name).first()
    with transaction.atomic():
        rows = [_row(scope, key, user) for scope, key in _keys(request, name, user).items()]
        for row in rows:
            if now - row.last_at > _FORGOTTEN_AFTER:
                row.failures = 0
        waits = [(LIMITS[Scope(row.scope)].wait(row.failures), row.last_at) for row in rows]
        left = max(since + timedelta(seconds=wait) - now if wait else timedelta(0) for wait, since in waits)
        if left > timedelta(0):
            raise MustWait(-(-left // timedelta(seconds=1)))
        for row in rows:
            row.failures += 1
            row.last_at = now
        FailedSignIns.objects.bulk_update(rows, ["failures", "last_at"])
        FailedSignIns.objects.filter(last_at__lt=now - 24 * _FORGOTTEN_AFTER).delete()


def waiting() -> list[tuple[User, datetime]]:
    """The people who must wait at this moment before they may try again, and until when, by name."""
    now = timezone.now()
    found: dict[User, datetime] = {}
    rows = FailedSignIns.objects.filter(user__isnull=False, last_at__gte=now - _FORGOTTEN_AFTER).select_related("user")
    for row in rows:
        until = row.last_at + timedelta(seconds=LIMITS[Scope(row.scope)].wait(row.failures))
        if until > now and row.user is not None:
            found[row.user] = max(until, found.get(row.user, until))
    return sorted(found.items(), key=lambda each: each[0].get_username())


def succeeded(request: HttpRequest, name: str, user: User) -> None:
    """Take back what `begin` counted: the password was right."""
    for scope, key in _keys(request, name, user).items():
        rows = FailedSignIns.objects.filter(scope=scope, key=key)
        if scope in (Scope.PAIR, Scope.DEVICE):
            rows.delete()
        else:  # a stranger who owns one account must not clear the count of others by signing in
            rows.filter(failures__gt=0).update(failures=F("failures") - 1)


def remember_device(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Let this browser be known as one in which `user` has signed in."""
    known = {pk: mark for pk, mark in _known_users(request).items() if pk != str(user.pk)}
    newest = dict([*known.items(), (str(user.pk), get_random_string(16))][-_DEVICE_USERS:])
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        signing.dumps(newest, salt=_DEVICE_SALT),
        max_age=timedelta(days=_DEVICE_DAYS),
        path=settings.SESSION_COOKIE_PATH,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def _keys(request: HttpRequest, name: str, user: User | None) -> dict[FailedSignIns.Scope, str]:
    """The counters that an attempt under `name` moves. Keys are digests: a name may be a password by mistake."""
    if user is not None and (mark := _known_users(request).get(str(user.pk))):
        return {Scope.DEVICE: _digest(mark)}
    address, normal = _network(client_address(request) or ""), unicodedata.normalize("NFKC", name).casefold()
    return {
        Scope.PAIR: _digest(normal, address),
        Scope.ACCOUNT: _digest(normal),
        Scope.ADDRESS: _digest(address),
    }


def _row(scope: FailedSignIns.Scope, key: str, user: User | None) -> FailedSignIns:
    owner = None if scope == Scope.ADDRESS else user
    row, _ = FailedSignIns.objects.select_for_update().get_or_create(scope=scope, key=key, defaults={"user": owner})
    return row


def _known_users(request: HttpRequest) -> dict[str, str]:
    try:
        cookie = request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
        known: dict[str, str] = signing.loads(cookie, salt=_DEVICE_SALT, max_age=timedelta(days=_DEVICE_DAYS))
    except signing.BadSignature:
        return {}
    return known


def _network(address: str) -> str:
    """The address; of IPv6 the /64 that one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{parsed}/64", strict=False)) if parsed.version == 6 else str(parsed)


def _digest(*parts: str) -> str:
    return salted_hmac("cataract.attempts", "\0".join(parts), algorithm="sha256").hexdigest()
