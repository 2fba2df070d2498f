"""Save and delete filters."""

from django.contrib.auth.models import User

from predictions.saved_filters.models import SavedFilter


def save_filter(*, user: User, name: str, query: str) -> SavedFilter:
    """Keep a query string under a name; a filter of this user with the same name is replaced."""
    return SavedFilter.objects.update_or_create(user=user, name=name, defaults={"query": query})[0]


def delete_filter(*, saved: SavedFilter) -> None:
    saved.delete()
