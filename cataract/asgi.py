"""ASGI entry point, for hosts that only speak ASGI."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

application = get_asgi_application()
