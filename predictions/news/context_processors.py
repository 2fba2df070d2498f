"""Template variable of every page: how many answers are new to the user."""

from collections.abc import Callable

from django.http import HttpRequest

from predictions.news.models import News


def news(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """`new_answers`: the number of answers that the user has not seen. Costs one query, where a template asks."""

    def count() -> int:
        user = getattr(request, "user", None)
        return 0 if user is None else News.objects.visible_to(user).unseen().count()

    return {"new_answers": count}
