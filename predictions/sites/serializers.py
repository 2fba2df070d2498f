"""Sites and devices as the API lists them: what a caller may state when it sends photos."""

from typing import Any

from rest_framework import serializers

from predictions.sites.models import Device, Site


class SiteSerializer(serializers.ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = ("name", "trains_by_default", "created_at")
        read_only_fields = fields


class DeviceSerializer(serializers.ModelSerializer[Device]):
    site = serializers.CharField(source="site.name", read_only=True)
    spellings: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        many=True, read_only=True, slug_field="name", help_text="Other names that mean this device."
    )

    class Meta:
        model = Device
        fields = ("name", "site", "spellings", "created_at")
        read_only_fields = fields
