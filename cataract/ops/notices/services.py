"""Who takes care of a notice."""

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ops.notices.models import Notice


@transaction.atomic
def take_notice(*, notice: Notice, user: User) -> None:
    """`user` takes care of it from now on, and has seen it; whoever did before does not any more."""
    if not Notice.objects.open().filter(pk=notice.pk).update(owner=user):
        return  # resolved meanwhile
    notice.seen_by.add(user)
    record(Act.OPERATED, about=notice, user=user, what="took care of a notice")


@transaction.atomic
def leave_notice(*, notice: Notice, user: User) -> None:
    """Nobody takes care of it any more, where it was `user` who did."""
    if Notice.objects.open().filter(pk=notice.pk, owner=user).update(owner=None):
        record(Act.OPERATED, about=notice, user=user, what="gave a notice back")
