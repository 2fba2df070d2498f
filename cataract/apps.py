from django.apps import AppConfig


class CataractConfig(AppConfig):
    name = "cataract"
    verbose_name = "Cataract screening"

    def ready(self) -> None:
        from cataract import celery  # noqa: F401  `delay()` needs the app configured in every process
        from cataract.accounts import receivers  # noqa: F401  records sign-ins and sign-outs
        from cataract.core import checks  # noqa: F401  registers the system checks
