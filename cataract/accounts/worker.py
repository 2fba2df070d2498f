"""Delete what is left of sessions that are over."""

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone


def sweep_sessions() -> None:
    """Delete sessions past their longest life, and the entries of sessions that no longer exist. Safe to run twice."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
