"""Sites and devices in the admin."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse

from cataract.core.admin import ModelAdmin, ReadOnlyAdmin
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.sites.models import Device, DeviceSpelling, Patient, Site
from predictions.sites.services import merge_devices

if TYPE_CHECKING:  # generic for the type checker only
    TabularInline = admin.TabularInline[Any, Any]
else:
    TabularInline = admin.TabularInline


@admin.register(Site)
class SiteAdmin(ModelAdmin):
    list_display = ("name", "trains_by_default", "created_at")
    search_fields = ("name",)
    filter_horizontal = ("users",)
    readonly_fields = ("created_at",)

    def has_delete_permission(self, request: object, obj: Site | None = None) -> bool:
        """A site with photos stays on record; nothing offers to delete one."""
        return False


class MergeForm(forms.Form):
    """Into which of the chosen devices the others are merged."""

    target = forms.ModelChoiceField(
        Device.objects.none(), label="Merge into", widget=forms.RadioSelect, empty_label=None
    )

    def __init__(self, *args: Any, chosen: QuerySet[Device], **options: Any) -> None:
        super().__init__(*args, **options)
        target = self.fields["target"]
        assert isinstance(target, forms.ModelChoiceField)
        target.queryset, target.initial = chosen, chosen.first()


class SpellingInline(TabularInline):
    model = DeviceSpelling
    fields = ("name", "merged_by", "merged_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


@admin.register(Device)
class DeviceAdmin(ModelAdmin):
    list_display = ("name", "site", "photos", "created_at")
    list_filter = ("site",)
    list_select_related = ("site",)
    search_fields = ("name", "spellings__name")
    readonly_fields = ("created_at",)
    inlines = (SpellingInline,)
    actions = ("merge",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        devices: QuerySet[Device] = super().get_queryset(request)
        return devices.annotate(photo_count=Count("images", distinct=True))

    @admin.display(ordering="photo_count")
    def photos(self, device: Any) -> int:
        count: int = device.photo_count
        return count

    @admin.action(description="Merge into one device", permissions=["change"])
    def merge(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse | None:
        """Ask into which device the others are merged, and merge them. The log of the device says so."""
        form = MergeForm(request.POST if "target" in request.POST else None, chosen=chosen.order_by("name"))
        if form.is_valid():
            target = form.cleaned_data["target"]
            others = [device for device in chosen if device.pk != target.pk]
            names = ", ".join(device.name for device in others)
            try:
                moved = merge_devices(target=target, others=others, user=user_of(request))
            except DomainError as error:
                self.message_user(request, error.message, messages.ERROR)
                return None
            words = f"Merged {names} into {target}: {moved} photo{pluralize(moved)} moved."
            self.log_change(request, target, words)
            self.message_user(request, words, messages.SUCCESS)
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Merge devices",
            "form": form,
            "chosen": chosen,
        }
        return TemplateResponse(request, "admin/predictions/device/merge.html", context)


@admin.register(Patient)
class PatientAdmin(ReadOnlyAdmin):
    list_display = ("key", "site", "created_at")
    list_filter = ("site",)
    search_fields = ("^key",)
    search_help_text = "The first characters of the key."
