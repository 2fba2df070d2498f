"""Deletions in the admin, read-only, and legal holds, which admins place and lift there."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from cataract.core.admin import ReadOnlyAdmin
from cataract.core.http.users import user_of
from predictions.retention import services
from predictions.retention.models import Deletion, LegalHold

if TYPE_CHECKING:  # generic for the type checker only
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    list_display = ("requested_at", "kind", "status", "site", "patient", "reason", "requested_by", "purge_after")
    list_filter = ("status", "kind", "site")
    list_select_related = ("site", "patient", "requested_by")
    search_fields = ("patient__key", "images__sha256", "reason")


class LiftForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LegalHold
        fields = ("lift_reason",)

    def clean_lift_reason(self) -> str:
        reason: str = self.cleaned_data["lift_reason"]
        if not reason:
            raise forms.ValidationError("Say why the hold is lifted.")
        return reason


@admin.register(LegalHold)
class LegalHoldAdmin(ModelAdmin):
    """Adding a row places a hold; saving it with a reason lifts it."""

    list_display = ("patient", "reason", "placed_by", "placed_at", "lifted_at", "lift_reason")
    list_select_related = ("patient", "placed_by")
    autocomplete_fields = ("patient",)
    search_fields = ("patient__key", "reason")

    def get_fields(self, request: HttpRequest, obj: LegalHold | None = None) -> Any:
        if obj is None:
            return ("patient", "reason")
        return ("patient", "reason", "placed_by", "placed_at", "lifted_by", "lifted_at", "lift_reason")

    def get_readonly_fields(self, request: HttpRequest, obj: LegalHold | None = None) -> Any:
        if obj is None:
            return ()
        return ("patient", "reason", "placed_by", "placed_at", "lifted_by", "lifted_at")

    def get_form(self, request: HttpRequest, obj: LegalHold | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = LiftForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: LegalHold, form: Any, change: bool) -> None:
        user = user_of(request)
        if change:
            services.lift_hold(hold=obj, reason=obj.lift_reason, user=user)
        else:
            obj.pk = services.place_hold(patient=obj.patient, reason=obj.reason, user=user).pk

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.hold_patient")

    def has_change_permission(self, request: HttpRequest, obj: LegalHold | None = None) -> bool:
        return request.user.has_perm("predictions.hold_patient") and (obj is None or obj.lifted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: LegalHold | None = None) -> bool:
        return False
