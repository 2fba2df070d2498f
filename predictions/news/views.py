"""Mark news as seen; choose the e-mail digest. Both lead back to the list of uploads."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from cataract.core.http.users import user_of
from predictions.news import services
from predictions.news.forms import DigestForm


@login_required
@require_POST
def mark_all_seen(request: HttpRequest) -> HttpResponse:
    """Mark all of the user's news as seen."""
    count = services.mark_seen(user=user_of(request))
    messages.success(request, f"{count} answer{'' if count == 1 else 's'} marked as seen.")
    return redirect("predictions:list")


@login_required
@require_POST
def choose_digest(request: HttpRequest) -> HttpResponse:
    """Switch the user's e-mail digest on or off."""
    form = DigestForm(request.POST)
    form.is_valid()
    wants = form.cleaned_data["wants_digest"]
    services.choose_digest(user=user_of(request), wants_digest=wants)
    messages.success(request, "You get one e-mail a day about new answers." if wants else "No more daily e-mails.")
    return redirect("predictions:list")
