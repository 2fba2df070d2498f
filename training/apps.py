from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        """Find the admin pages that have a file of their own; `admin.py` is found by the admin itself."""
        autodiscover_modules("admin_live", "admin_policy", "admin_releases")
