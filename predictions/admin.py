"""Where Django finds the admin pages of this app; each room has its own."""

from cataract.core import admin as core
from predictions.answering import admin as answering
from predictions.batches import admin as batches
from predictions.embeddings import admin as embeddings
from predictions.photos import admin as photos
from predictions.releases import admin as releases
from predictions.webhooks import admin as webhooks

__all__ = ["answering", "batches", "core", "embeddings", "photos", "releases", "webhooks"]
