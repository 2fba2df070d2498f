"""WSGI entry point, served by granian."""

import logging
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

application = get_wsgi_application()


def load_champion() -> None:
    """Have the champion in memory before the first photo comes: loading it then would cost that person seconds."""
    from django.conf import settings  # only after Django is set up
    from django.db import DatabaseError, connections

    from predictions.photos import intake
    from predictions.releases import serving

    try:
        if settings.INFERENCE == "web":
            serving.champion()
    except DatabaseError as error:
        logging.getLogger(__name__).warning("The champion is not loaded yet: %s", error)
    finally:
        connections.close_all()
    intake.warm_up()


load_champion()
