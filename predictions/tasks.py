"""Where Celery finds the tasks of this app; each room has its own."""

from predictions.answering import tasks as answering
from predictions.batches import tasks as batches
from predictions.drift import tasks as drift
from predictions.embeddings import tasks as embeddings
from predictions.news import tasks as news
from predictions.photos import tasks as photos
from predictions.retention import tasks as retention
from predictions.shadow import tasks as shadow
from predictions.webhooks import tasks as webhooks

__all__ = ["answering", "batches", "drift", "embeddings", "news", "photos", "retention", "shadow", "webhooks"]
