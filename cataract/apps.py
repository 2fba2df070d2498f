from django.apps import AppConfig


class CataractConfig(AppConfig):
    name = "cataract"
    verbose_name = "Cataract screening"

    def ready(self) -> None:
        from cataract import celery  # noqa: F401  `delay()` needs the app configured in every process
        from cataract.accounts import checks as of_accounts  # noqa: F401  registers the checks of single sign-on
        from cataract.accounts import receivers  # noqa: F401  records sign-ins and sign-outs
        from cataract.core import checks  # noqa: F401  registers the system checks
        from cataract.ops.audit import receivers as of_the_admin  # noqa: F401  records what the admin does by itself
