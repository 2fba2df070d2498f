"""The page "what learned from this", for admins and auditors, and the button that trains again without it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from training.comparison.admin_utils import release_admin_url
from training.lineage import services
from training.lineage.asked import asked_by
from training.lineage.forms import RetrainForm
from training.tracking.mlflow_client import run_url


@login_required
@permission_required("training.view_dataset", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def lineage(request: HttpRequest) -> HttpResponse:
    """Datasets, runs and releases that learned from photos; POST starts a training without them."""
    user = user_of(request)
    may_train = user.has_perm("training.add_trainingrun")
    if request.method == "POST" and not may_train:
        raise PermissionDenied
    asked = asked_by(request.GET)
    form = RetrainForm(request.POST or None, initial={"reason": f"Without {asked.words}."})
    if form.is_valid():
        try:
            run = services.retrain_without(
                lineage=asked.lineage,
                may_still_train=asked.may_still_train,
                reason=form.cleaned_data["reason"],
                user=user,
            )
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "The training run without them is queued.")
            return redirect("admin:training_trainingrun_change", run.pk)
    found = asked.lineage
    context = {
        "asked": asked,
        "form": form,
        "may_train": may_train,
        "datasets": found.datasets,
        "uses": [(use, run_url(use.run.mlflow_experiment_id, use.run.mlflow_run_id)) for use in found.uses],
        "groups": [
            ("Learned from it", [(row, release_admin_url(row.pk)) for row in found.learned]),
            ("Trained from one of those", [(row, release_admin_url(row.pk)) for row in found.descendants]),
            ("Only calibrated or measured on it", [(row, release_admin_url(row.pk)) for row in found.measured]),
        ],
    }
    return render(request, "training/lineage.html", context, status=422 if form.errors else 200)
