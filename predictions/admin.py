"""Where Django finds the admin pages of this app; each room has its own."""

from predictions.batches import admin as batches
from predictions.consent import admin as consent
from predictions.corrections import admin as corrections
from predictions.embeddings import admin as embeddings
from predictions.photos import admin as photos
from predictions.releases import admin as releases
from predictions.results import admin as results
from predictions.retention import admin as retention
from predictions.sites import admin as sites
from predictions.webhooks import admin as webhooks

__all__ = [
    "batches",
    "consent",
    "corrections",
    "embeddings",
    "photos",
    "releases",
    "results",
    "retention",
    "sites",
    "webhooks",
]
