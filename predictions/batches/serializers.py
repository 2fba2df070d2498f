"""Serializers of batches and their items."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cataract.core.errors import BadField
from cataract.core.http.limits import with_limits
from predictions.answering.models import Prediction
from predictions.batches.models import Batch, BatchItem
from predictions.batches.results import progress_of, result_of
from predictions.batches.tables import COLUMNS, Table, read_table
from predictions.batches.tables import MAX_BYTES as MAX_TABLE_BYTES
from predictions.batches.uploads import SpooledFile
from predictions.photos.models import EyeImage
from predictions.photos.serializers import FactsSerializer
from predictions.photos.validators import LABEL_LENGTH
from predictions.results.serializers import PredictionSerializer


class BatchUploadSerializer(FactsSerializer):
    """Many photos to judge. The table's facts about a file override the facts for all photos, except a refused consent.

    Unknown fields are refused by name.
    """

    photos = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        help_text=with_limits("Up to {max_form_files} photo files; repeat the field."),
    )
    archive = serializers.FileField(
        required=False,
        help_text=with_limits("One ZIP of photos instead; it may hold {max_archive_files} files."),
    )
    table = serializers.FileField(
        required=False,
        allow_empty_file=True,
        help_text=f"CSV with the columns {', '.join(COLUMNS)}; only file is needed. It may lie in the archive instead.",
    )
    patient = serializers.CharField(source="patient_key", required=False, default="", allow_blank=True, max_length=64)
    eye = serializers.ChoiceField(choices=EyeImage.Eye.known(), required=False, default="", allow_blank=True)
    site = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    device = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    may_train = serializers.BooleanField(
        required=False,
        default=None,
        allow_null=True,
        help_text="Consent to train with these photos; false counts for all of them. Not stated: the site's default.",
    )
    name = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="The name of the batch; else the archive's.",
    )
    mode = serializers.ChoiceField(choices=Prediction.Mode.choices, default=Prediction.Mode.CASCADE)


def batch_files(files: Any) -> tuple[list[SpooledFile], SpooledFile | None, Table | None]:
    """The photos, the archive and the table of a batch. Raises BadField and TableRefused."""
    found = {name: list(files.getlist(name)) for name in ("photos", "archive", "table")}
    for name in ("archive", "table"):
        if len(found[name]) > 1:
            raise BadField(name, f"Send one file in the field `{name}`.", code="too_many_files", status=400)
    table = read_table(found["table"][0].read(MAX_TABLE_BYTES + 1)) if found["table"] else None
    return found["photos"], next(iter(found["archive"]), None), table


class BatchSerializer(serializers.ModelSerializer[Batch]):
    """One batch and its progress."""

    files = serializers.SerializerMethodField(help_text="Number of files by status: waiting, stored, known, refused.")
    results = serializers.SerializerMethodField(help_text="Address of the outcome of each file.")

    class Meta:
        model = Batch
        fields = ("id", "status", "name", "mode", "total", "files", "results", "created_at", "done_at")
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_files(self, row: Batch) -> dict[str, int]:
        return progress_of(row)

    def get_results(self, row: Batch) -> str:
        return reverse("api-batch-results", args=[row.pk])


class BatchItemSerializer(serializers.ModelSerializer[BatchItem]):
    """One file of a batch: stored, known (already sent), refused (code and message say why), or still waiting."""

    file = serializers.CharField(source="name", read_only=True)
    patient = serializers.CharField(source="patient_key", read_only=True)
    result = serializers.SerializerMethodField()
    existing = serializers.UUIDField(
        source="earlier_id",
        read_only=True,
        allow_null=True,
        help_text="Of a refused file: the earlier prediction of the same photo, if you may see it.",
    )

    class Meta:
        model = BatchItem
        fields = ("file", "status", "code", "message", "patient", "eye", "result", "existing")
        read_only_fields = fields

    @extend_schema_field(PredictionSerializer(allow_null=True))
    def get_result(self, row: BatchItem) -> Any:
        found = result_of(row)
        return None if found is None else PredictionSerializer(found).data
