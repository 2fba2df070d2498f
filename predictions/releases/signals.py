"""Signals of releases. Receivers run in the sender's transaction; their errors roll it back."""

from django.dispatch import Signal

# Another release serves. Sent with `release`, `previous` (None for the first champion) and `user` (None: the system).
release_promoted = Signal()
