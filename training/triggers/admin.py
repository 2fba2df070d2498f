"""Automatic runs in the Django admin: the policy, and what it has asked for."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from cataract.core.admin import ModelAdmin, ReadOnlyAdmin
from training.runs.admin import run_link
from training.triggers.models import TrainingPolicy, TriggerFiring


@admin.register(TrainingPolicy)
class TrainingPolicyAdmin(ModelAdmin):
    """One row to edit; the history of the admin records who changed it."""

    fields = ("is_on", "kind", "new_labels", "on_drift", "max_override_rate", "every_days")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the one row."""
        policy, _ = TrainingPolicy.objects.get_or_create(pk=1)
        return HttpResponseRedirect(reverse("admin:training_trainingpolicy_change", args=[policy.pk]))


@admin.register(TriggerFiring)
class TriggerFiringAdmin(ReadOnlyAdmin):
    list_display = ("fired_at", "trigger", "reason", "run_of", "error")
    list_filter = ("trigger",)
    list_select_related = ("run",)

    @admin.display(description="run")
    def run_of(self, firing: TriggerFiring) -> str:
        return run_link(firing.run) if firing.run else "none"
