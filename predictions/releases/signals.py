"""Signals of releases. Receivers run in the sender's transaction; their errors roll it back."""

from django.dispatch import Signal

# Another release is champion. Sent with `release`, `previous` (None for the first champion), `user` (None: the system).
release_promoted = Signal()
