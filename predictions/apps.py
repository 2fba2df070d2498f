from django.apps import AppConfig


class PredictionsConfig(AppConfig):
    name = "predictions"

    def ready(self) -> None:
        """Let the rooms that follow a change of champion hear of it."""
        from predictions.embeddings import receivers  # noqa: F401
