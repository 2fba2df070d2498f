"""Mail news to senders: changed answers at once, all other news in one digest a day. Never any patient data.

A mail names a number and the address of the list. Each row is marked before its mail is sent, by one conditional
UPDATE: a task that runs twice, in parallel or after a crash mails each answer at most once.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from predictions.news.models import News, NewsQuerySet

log = logging.getLogger(__name__)


def send_mails(now: datetime | None = None) -> int:
    """Send the mails that are due; return how many. While the mail server cannot be reached nothing is marked."""
    if not settings.SENDS_MAIL:
        return 0
    moment = now or timezone.now()
    urgent = _mailable().filter(is_urgent=True)
    digests = _mailable().filter(at__lte=_last_digest(moment)).exclude(user__mail_choice__wants_digest=False)
    if not (urgent.exists() or digests.exists()):
        return 0
    connection = get_connection()
    try:
        connection.open()
    except OSError:
        log.exception("The mail server cannot be reached: news waits for the next attempt")
        return 0
    sent = 0
    try:
        for rows, write in ((urgent, _changed), (digests, _digest)):
            for user in User.objects.filter(pk__in=rows.values("user")):
                chosen = list(rows.filter(user=user).values_list("pk", flat=True))
                count = News.objects.unmailed().filter(pk__in=chosen).update(mailed_at=moment)
                sent += bool(count) and _send(write(user, count), connection)
    finally:
        connection.close()
    return sent


def _mailable() -> NewsQuerySet:
    """News to mail, of users who can log in and have an e-mail address."""
    return News.objects.unmailed().filter(~Q(user__email=""), user__is_active=True)


def _last_digest(moment: datetime) -> datetime:
    """When the last digest was due: today at NEWS_DIGEST_HOUR, or yesterday before that hour."""
    local = timezone.localtime(moment)
    today = local.replace(hour=settings.NEWS_DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if today <= local else today - timedelta(days=1)


def _digest(user: User, count: int) -> EmailMessage:
    answers = "1 new answer" if count == 1 else f"{count} new answers"
    text = f"Clinicians gave {answers} about photos that you sent.\n\nOpen the system to read: {_address()}\n"
    return EmailMessage(answers, text + _FOOTER, to=[user.email])


def _changed(user: User, count: int) -> EmailMessage:
    subject = "An earlier answer has changed" if count == 1 else f"{count} earlier answers have changed"
    text = f"{subject}. Please look today.\n\nOpen the system to read: {_address()}\n"
    return EmailMessage(subject, text, to=[user.email])


_FOOTER = "\nYou can switch this daily mail off on that page. Mails about changed answers are always sent.\n"


def _address() -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}{reverse('predictions:list')}?new=true"


def _send(message: EmailMessage, connection: BaseEmailBackend) -> bool:
    message.connection = connection
    try:
        return bool(message.send())
    except OSError:  # also every SMTPException
        log.exception("A mail about news was not accepted; it is not sent again, the pages show the news")
        return False
