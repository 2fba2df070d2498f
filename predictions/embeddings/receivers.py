"""Request embeddings when the champion changes."""

from typing import Any

from django.contrib.auth.models import User
from django.dispatch import receiver

from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release
from predictions.releases.signals import release_promoted


@receiver(release_promoted)
def embed_stored_photos(release: Release, previous: Release | None, user: User | None, **_: Any) -> None:
    """Request embeddings: search, drift and training need every stored photo in the champion's embedding space."""
    if previous is None or previous.encoder != release.encoder:
        EmbeddingJob.objects.ask_for(release=release, user=user)
