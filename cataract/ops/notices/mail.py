"""Tell admins of new notices by e-mail, where e-mail is configured."""

import logging
from collections import Counter
from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.urls import reverse

from cataract.ops.notices.models import Notice

log = logging.getLogger(__name__)


def mail_admins(notices: Sequence[Notice]) -> int:
    """Send every admin with an address one mail that names these notices; returns how many were sent.

    It holds the kinds and their number only: no patient, no photo, no error text. A server that refuses is logged.
    """
    kinds = Counter(notice.get_kind_display() for notice in notices)
    lines = [f"- {kind}{f' ({count})' if count > 1 else ''}" for kind, count in kinds.items()]
    page = f"{settings.PUBLIC_URL.rstrip('/')}{reverse('ops:notices')}"
    text = "\n".join(["New notices:", "", *lines, "", f"What to do: {page}"])
    admins = User.objects.with_perm("cataract.view_notice", backend="django.contrib.auth.backends.ModelBackend")
    sent = 0
    for address in admins.exclude(email="").values_list("email", flat=True).distinct():
        try:
            sent += send_mail("Cataract screening: new notices", text, settings.DEFAULT_FROM_EMAIL, [address])
        except OSError as error:  # smtplib's errors too
            log.warning("Notices could not be mailed: %s", error)
    return sent
