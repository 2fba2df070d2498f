"""The home pages, and the search of the header."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from cataract.core.http.users import user_of
from cataract.frame import search as searching
from cataract.frame.context_processors import frame_of
from cataract.frame.homes import home_of

MOST_WORDS = 200


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The figures, the main action and the newest things of whoever is signed in."""
    shown = home_of(user_of(request), frame_of(request))
    if shown is None:
        return render(request, "predictions/no_role.html", status=403)
    return render(request, "frame/home.html", {"home": shown})


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What the user may see whose key, id or name begins like `q`. A single find opens at once."""
    words = request.GET.get("q", "").replace("\0", "")[:MOST_WORDS].strip()
    found = searching.find(words, user_of(request))
    if len(found) == 1:
        return redirect(found[0].url)
    return render(request, "frame/search.html", {"found": found, "search_text": words})
