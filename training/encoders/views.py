"""The page of encoders: embeddings of all photos, and base releases with another encoder."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError
from cataract.core.http.htmx import is_htmx
from cataract.core.http.polling import polling
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release
from training.encoders import services
from training.encoders.forms import EmbedForm, EncoderForm
from training.encoders.models import EncoderChange

VIEW, ADD = "training.view_encoderchange", "training.add_encoderchange"
_LISTED = 10
_POLLS = 600  # a page with work in progress polls this often, then stops and says so


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def encoders(request: HttpRequest) -> HttpResponse:
    """The jobs so far; a POST asks for embeddings or for another encoder, by somebody who has shown who they are."""
    user = user_of(request)
    embed, encoder = EmbedForm(initial={"release": Release.objects.champions().first()}), EncoderForm()
    if request.method == "POST":
        if not user.has_perm(ADD):
            raise PermissionDenied
        require_confirmation(request)
        if "embed" in request.POST:
            embed = EmbedForm(request.POST)
            if embed.is_valid():
                job = services.embed_all(user=user, release=embed.cleaned_data["release"])
                messages.success(request, f"{job.total} photos to embed. A worker starts within seconds.")
                return redirect("training:encoders")
        else:
            encoder = EncoderForm(request.POST)
            if encoder.is_valid() and _asked(request, encoder):
                return redirect("training:encoders")
    jobs = list(EmbeddingJob.objects.select_related("release", "requested_by")[:_LISTED])
    changes = list(EncoderChange.objects.select_related("release", "requested_by")[:_LISTED])
    waits = any(job.status == EmbeddingJob.Status.WAITING for job in jobs) or any(
        change.status in EncoderChange.ACTIVE for change in changes
    )
    context = {
        "embed": embed,
        "encoder": encoder,
        "jobs": jobs,
        "changes": changes,
        "may_act": user.has_perm(ADD),
        **polling(request, waits=waits, most=_POLLS, quick=30),
    }
    template = "training/encoders/_jobs.html" if is_htmx(request) else "training/encoders/encoders.html"
    return render(request, template, context, status=422 if embed.errors or encoder.errors else 200)


def _asked(request: HttpRequest, form: EncoderForm) -> bool:
    """Ask for the encoder that a valid form names; where that is refused the form says why."""
    values = {**form.cleaned_data, "image_size": form.cleaned_data["image_size"] or 0}
    try:
        services.change_encoder(user=user_of(request), **values)
    except DomainError as error:
        form.add_error(None, error.message)
        return False
    return True
