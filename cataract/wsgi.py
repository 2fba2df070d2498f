"""WSGI entry point, served by granian."""

import os
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")


def _application() -> Any:
    django = get_wsgi_application()
    from cataract.core.http.sub_path import below_sub_path  # only after Django is set up

    return below_sub_path(django)


application = _application()


def _warm_up() -> None:
    """Load the champion and start a decoder before the first photo arrives: its sender would wait seconds for them."""
    from django.conf import settings  # only after Django is set up

    from predictions.photos import intake
    from predictions.releases import serving

    if settings.INFERENCE == "web":
        serving.warm_up()
    intake.warm_up()


_warm_up()
