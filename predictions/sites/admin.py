"""Sites and devices in the admin."""

from django.contrib import admin

from cataract.core.admin import ModelAdmin, ReadOnlyAdmin
from predictions.sites.models import Device, Patient, Site


@admin.register(Site)
class SiteAdmin(ModelAdmin):
    list_display = ("name", "trains_by_default", "created_at")
    search_fields = ("name",)
    filter_horizontal = ("users",)
    readonly_fields = ("created_at",)

    def has_delete_permission(self, request: object, obj: Site | None = None) -> bool:
        """A site with photos stays on record; nothing offers to delete one."""
        return False


@admin.register(Device)
class DeviceAdmin(ModelAdmin):
    list_display = ("name", "site", "created_at")
    list_filter = ("site",)
    search_fields = ("name",)
    readonly_fields = ("created_at",)


@admin.register(Patient)
class PatientAdmin(ReadOnlyAdmin):
    list_display = ("key", "site", "created_at")
    list_filter = ("site",)
    search_fields = ("key",)
