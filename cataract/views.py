"""Pages that belong to no app."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from cataract.core.http.users import user_of


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Redirect people to the page where their work is."""
    user = user_of(request)
    places = (
        ("predictions.add_eyeimage", "predictions:upload"),
        ("review.read_reviewcase", "review:queue"),
        ("predictions.view_every_eyeimage", "predictions:list"),
        ("cataract.view_overview", "overview:page"),
    )
    for permission, name in places:
        if user.has_perm(permission):
            return redirect(name)
    return redirect("admin:index") if user.is_staff else render(request, "predictions/no_role.html", status=403)
