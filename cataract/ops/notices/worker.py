"""Open notices for what is wrong now, and resolve those whose cause is gone."""

from django.conf import settings
from django.utils import timezone

from cataract.ops.notices import conditions, mail
from cataract.ops.notices.models import Notice


def sweep() -> None:
    """Bring the notices up to date, and mail the new ones. Safe to run twice, at any time."""
    now, detail_length = timezone.now(), Notice._meta.get_field("detail").max_length
    found = {(finding.kind.value, finding.key): finding.detail[:detail_length] for finding in conditions.current()}
    known = {(notice.kind, notice.key): notice for notice in Notice.objects.open()}
    gone = [notice.pk for cause, notice in known.items() if cause not in found]
    Notice.objects.open().filter(pk__in=gone).update(resolved_at=now)
    for cause, detail in found.items():
        notice = known.get(cause)
        if notice is not None and notice.detail != detail:
            Notice.objects.filter(pk=notice.pk).update(detail=detail)
    new = [
        Notice(kind=kind, key=key, detail=detail) for (kind, key), detail in found.items() if (kind, key) not in known
    ]
    Notice.objects.bulk_create(new, ignore_conflicts=True)
    if settings.SENDS_MAIL:
        _mail_new()


def _mail_new() -> None:
    """Mail each open notice once: it is marked first, so a crash loses a mail and never repeats one."""
    unmailed = Notice.objects.open().filter(mailed_at__isnull=True)
    mine = [notice for notice in list(unmailed) if unmailed.filter(pk=notice.pk).update(mailed_at=timezone.now())]
    if mine:
        mail.mail_admins(mine)
