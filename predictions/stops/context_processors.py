"""Template variable of every page: where the AI is off, for the banner."""

from collections.abc import Callable

from django.http import HttpRequest

from predictions.stops.models import AiStop, AiStopQuerySet


def ai_stops(request: HttpRequest) -> dict[str, Callable[[], AiStopQuerySet]]:
    """`ai_stops`: the standing stops of the user's sites. Costs one query, where a template asks."""

    def standing() -> AiStopQuerySet:
        user = getattr(request, "user", None)
        stops = AiStop.objects.none() if user is None else AiStop.objects.visible_to(user)
        return stops.standing().select_related("site")

    return {"ai_stops": standing}
