"""The Celery application. Tasks live in each app's `tasks.py`: ids in, nothing out."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

app = Celery("cataract")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
