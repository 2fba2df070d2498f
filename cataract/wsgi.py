"""WSGI entry point, served by granian."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

application = get_wsgi_application()

from predictions.registry import warm_up  # noqa: E402  models can be imported only now

warm_up()
