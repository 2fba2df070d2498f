from django.apps import AppConfig


class PredictionsConfig(AppConfig):
    name = "predictions"

    def ready(self) -> None:
        """Connect the receivers that react to a new champion."""
        from predictions.embeddings import receivers  # noqa: F401
