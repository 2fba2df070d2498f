"""What every page may say without its view saying so."""

from django.conf import settings
from django.http import HttpRequest


def product(request: HttpRequest) -> dict[str, str]:
    """The name of the product and the intended-use sentence."""
    return {"product_name": "Cataract screening", "intended_use": settings.INTENDED_USE}
