"""Delete what is left of sessions that are over, and end the access of people whom no provider vouches for."""

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from cataract.accounts import single_sign_on


def sweep_sessions() -> None:
    """Delete sessions past their longest life, and the entries of sessions that no longer exist. Safe to run twice."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    single_sign_on.end_unseen()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
