"""Where MLflow has each release: kept here, so that no page has to ask MLflow."""

from typing import ClassVar

from django.db import models

from predictions.releases.models import Release
from training.tracking.mlflow_client import run_url, version_url


class RegisteredVersion(models.Model):
    """The version of a release in MLflow's model registry, as it was found last."""

    release = models.OneToOneField(Release, on_delete=models.CASCADE, primary_key=True, related_name="mlflow_version")
    version = models.CharField(max_length=16)
    mlflow_run_id = models.CharField(max_length=64)
    mlflow_experiment_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering: ClassVar = ["release"]

    def __str__(self) -> str:
        return f"version {self.version} of {self.release_id}"

    @property
    def url(self) -> str:
        """Its page in the MLflow UI."""
        return version_url(self.version)

    @property
    def run_url(self) -> str:
        """The page of its run in the MLflow UI."""
        return run_url(self.mlflow_experiment_id, self.mlflow_run_id)
