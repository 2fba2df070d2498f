"""Save, open and delete the filters of the list of uploads."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from cataract.core.http.users import user_of
from predictions.saved_filters import services
from predictions.saved_filters.forms import SaveFilterForm
from predictions.saved_filters.models import SavedFilter


@login_required
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Save the filters in `query` under `name`, and show what they find."""
    form = SaveFilterForm(request.POST)
    if not form.is_valid():
        for errors in form.errors.values():
            messages.error(request, str(errors[0]))
        return redirect("predictions:list")
    saved = services.save_filter(user=user_of(request), **form.cleaned_data)
    messages.success(request, f"The filter {saved.name!r} is saved.")
    return _opened(saved)


@login_required
@require_GET
def open_saved(request: HttpRequest, filter_id: UUID) -> HttpResponse:
    """The list of uploads with a saved filter."""
    return _opened(get_object_or_404(SavedFilter.objects.visible_to(user_of(request)), pk=filter_id))


@login_required
@require_POST
def delete(request: HttpRequest, filter_id: UUID) -> HttpResponse:
    """Delete a saved filter."""
    saved = get_object_or_404(SavedFilter.objects.visible_to(user_of(request)), pk=filter_id)
    services.delete_filter(saved=saved)
    messages.success(request, f"The filter {saved.name!r} is deleted.")
    return redirect("predictions:list")


def _opened(saved: SavedFilter) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('predictions:list')}?{saved.query}")
