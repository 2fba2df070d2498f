"""Training runs in the Django admin: start, watch, cancel and resume them; check the labels."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from cataract.core.admin import ReadOnlyAdmin
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from training.comparison.admin_utils import release_admin_url
from training.comparison.models import Comparison
from training.datasets import label_photos
from training.label_checks import services as label_checks
from training.label_checks.models import LabelCheck
from training.runs import curves, previews, tasks
from training.runs import services as runs_services
from training.runs.forms import StartForm
from training.runs.models import TrainingRun
from training.runs.parameters import promise_in_words
from training.tracking.mlflow_client import run_url


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "status", "stage", "percent", "release_link", "who", "reason")
    list_filter = ("status", "kind")
    list_select_related = ("release", "requested_by", "firing")
    change_list_template = "admin/training/run_list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("training.add_trainingrun")

    @admin.display(description="release")
    def release_link(self, run: TrainingRun) -> str:
        return _release_link(run.release_id) if run.release_id else "-"

    @admin.display(description="asked for by", ordering="requested_by")
    def who(self, run: TrainingRun) -> str:
        return run.asked_for_by

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("labels/", wrap(self.labels), name="training_labels"),
            path("labels/check/", wrap(require_POST(self.check_labels)), name="training_check_labels"),
            path("labels/send/", wrap(require_POST(self.send_suspects)), name="training_send_suspects"),
            path("<uuid:run_id>/part/", wrap(self.part), name="training_run_part"),
            path("<uuid:run_id>/cancel/", wrap(require_POST(self.cancel)), name="training_run_cancel"),
            path("<uuid:run_id>/resume/", wrap(require_POST(self.resume)), name="training_run_resume"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The data that a run started now would use, and the form that starts it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = StartForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                run = runs_services.start_training(user=user_of(request), **form.request())
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                return HttpResponseRedirect(_run_page(run.pk))
        found, counted = previews.last_preview(tasks.prepare_preview)
        context = {
            "title": "Start a training run",
            "form": form,
            "preview": found,
            "counted": counted,
            **_label_check(user_of(request)),
            **({} if counted else _photos_of_preview(user_of(request))),
            "active": TrainingRun.objects.in_status(*TrainingRun.ACTIVE),
            "parallel": settings.TRAINING_PARALLEL,
        }
        return self.page(request, "admin/training/run_start.html", context, 422 if form.errors else 200)

    def labels(self, request: HttpRequest) -> HttpResponse:
        """The labels that are probably wrong. The start page polls this while a worker looks for them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.page(request, "admin/training/_labels.html", _label_check(user_of(request)))

    def check_labels(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            label_checks.start_check(user=user_of(request))
            messages.success(request, "A worker is checking the labels.")
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:training_trainingrun_add") + "#labels")

    def send_suspects(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        check = LabelCheck.objects.in_status(LabelCheck.Status.DONE).first()
        sent = label_checks.send_to_review(check=check) if check else 0
        messages.success(
            request, f"{sent} photos wait for blind readers now. Those that waited already are not sent twice."
        )
        return HttpResponseRedirect(reverse("admin:training_trainingrun_add") + "#labels")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """One run, live."""
        return self._run_page(request, object_id, "admin/training/run.html")

    def part(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """The part of the run page that it polls while the run is active."""
        return self._run_page(request, run_id, "admin/training/_run.html")

    def cancel(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        return self._act(request, run_id, runs_services.cancel_run)

    def resume(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        return self._act(request, run_id, runs_services.resume_run)

    def _run_page(self, request: HttpRequest, run_id: str | UUID, template: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, str(run_id))
        if run is None:
            raise Http404
        context = {
            "title": f"Training run: {run.get_kind_display()}",
            "run": run,
            "active": run.status in TrainingRun.ACTIVE,
            "may_act": self.has_add_permission(request),
            "mlflow_url": run_url(run.mlflow_experiment_id, run.mlflow_run_id),
            "comparison": Comparison.objects.standing(run.release) if run.release else None,
            "plots": curves.plots(run.curves),
            "promise": promise_in_words(run.parameters, run.base_release.manifest.get("policy") or {}),
        }
        return self.page(request, template, context)

    def _act(self, request: HttpRequest, run_id: UUID, service: Any) -> HttpResponse:
        """The page that follows says the new state by itself, and goes on saying it as it changes."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            service(run=get_object_or_404(TrainingRun, pk=run_id))
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(_run_page(run_id))


def _label_check(user: User) -> dict[str, Any]:
    """The last check of the labels, whose suspects `user` is shown with their labels."""
    check = LabelCheck.objects.first()
    suspects = label_checks.standing_suspects(check)
    disclose_photos(images=[label.image_id for label, _ in suspects], user=user)
    return {
        "check": check,
        "checking": check is not None and check.status in LabelCheck.ACTIVE,
        "suspects": suspects,
    }


def _photos_of_preview(user: User) -> dict[str, Any]:
    """Some photos that a run would use and leave out, with their labels, which `user` is shown."""
    photos = {"used_photos": label_photos.newest(6), "left_photos": label_photos.left_out(6)}
    disclose_photos(images=[photo.label.image_id for each in photos.values() for photo in each], user=user)
    return photos


def _release_link(release_id: str) -> str:
    return format_html('<a href="{}">{}</a>', release_admin_url(release_id), release_id)


def run_link(run: TrainingRun) -> str:
    """A link to the page of a run."""
    return format_html('<a href="{}">{}</a>', _run_page(run.pk), run)


def _run_page(run_id: UUID) -> str:
    return reverse("admin:training_trainingrun_change", args=[run_id])
