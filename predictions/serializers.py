"""What the API takes and gives. The names in a result are promises: see each field's help."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from predictions.errors import BadField
from predictions.forms import LABEL_LENGTH, PATIENT_KEY, check_captured_at
from predictions.models import Batch, BatchItem, Prediction, Release, WebhookDelivery, WebhookEndpoint
from predictions.results import progress_of, result_of
from predictions.spool import SpooledFile
from predictions.tables import MAX_BYTES as MAX_TABLE_BYTES
from predictions.tables import Facts, Table, read_table
from predictions.wording import confidence, describe, model_used


class UploadSerializer(serializers.Serializer[Any]):
    """A photo to judge. Unknown fields are ignored."""

    photo = serializers.FileField(
        allow_empty_file=True,  # the intake says better what is wrong
        help_text="One JPEG, PNG or WebP photo of the front of an eye, or a DICOM file that holds one; at most 20 MB.",
    )
    patient = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=64, help_text="The patient's pseudonym, never a name."
    )
    eye = serializers.ChoiceField(choices=["OD", "OS"], help_text="OD is the right eye, OS the left.")
    mode = serializers.ChoiceField(
        choices=Prediction.Mode.choices,
        default=Prediction.Mode.CASCADE,
        help_text="cascade: the accurate model in the unsure band only. fast, accurate: one model. always: both.",
    )
    site = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    device = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    captured_at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    may_train = serializers.BooleanField(required=False, default=True, help_text="Consent to train with this photo.")
    send_anyway = serializers.BooleanField(
        required=False, default=False, help_text="Ask again about a photo that is already stored for this eye."
    )

    def validate_patient(self, value: str) -> str:
        if value:
            PATIENT_KEY(value)
        return value

    def validate_captured_at(self, value: Any) -> Any:
        if value is not None:
            check_captured_at(value)
        return value


def one_photo(files: Any) -> "UploadedFile[Any]":
    """The one file named `photo`. Raises BadField (400) when there is none, or more than one."""
    sent = files.getlist("photo") if hasattr(files, "getlist") else []
    if not sent:
        raise BadField(
            "photo", "Choose or take a photo: send one file in the field `photo`.", code="file_required", status=400
        )
    if len(sent) > 1:
        raise BadField("photo", "Send one photo at a time in the field `photo`.", code="too_many_files", status=400)
    found: UploadedFile[Any] = sent[0]
    return found


class ProbabilitiesSerializer(serializers.Serializer[Any]):
    cataract = serializers.FloatField(min_value=0, max_value=1)
    normal = serializers.FloatField(min_value=0, max_value=1)


class ModelAnswerSerializer(serializers.Serializer[Any]):
    score = serializers.FloatField(allow_null=True, help_text="Raw log-odds, before calibration.")
    probability = serializers.FloatField(allow_null=True, help_text="Calibrated probability of cataract.")


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    """One result. While `status` is `queued`, everything that the models say is empty."""

    prediction = serializers.SerializerMethodField(
        help_text="cataract, normal or ungradable; null while queued and when only a person can answer."
    )
    confidence = serializers.SerializerMethodField(
        help_text="Calibrated probability of the class in `prediction`, 0.5 to 1; null when no class was answered."
    )
    probabilities = serializers.SerializerMethodField(help_text="Calibrated, by class; they sum to 1. Null as above.")
    model_used = serializers.SerializerMethodField(help_text="fast, accurate, fast+accurate, or none.")
    models = serializers.SerializerMethodField(help_text="What each model said.")
    processing_time = serializers.SerializerMethodField(
        help_text="Seconds from the first check of the photo to its answer; null while queued."
    )
    timings = serializers.JSONField(read_only=True, help_text="Milliseconds by stage; `total` is their sum.")
    message = serializers.SerializerMethodField(help_text="The answer in words.")
    next = serializers.SerializerMethodField(help_text="What to do now, in words.")
    advice = serializers.SerializerMethodField(help_text="How to take an ungradable photo again, else empty.")
    release = serializers.CharField(source="release_id", allow_null=True, read_only=True)
    image = serializers.SerializerMethodField(help_text="The stored photo: the commitment that nothing was lost.")
    intended_use = serializers.SerializerMethodField()

    class Meta:
        model = Prediction
        fields = (
            "id",
            "status",
            "mode",
            "prediction",
            "confidence",
            "probabilities",
            "model_used",
            "models",
            "decision",
            "needs_review",
            "reasons",
            "message",
            "next",
            "advice",
            "release",
            "policy_version",
            "processing_time",
            "timings",
            "image",
            "created_at",
            "done_at",
            "intended_use",
        )
        read_only_fields = fields

    def get_prediction(self, row: Prediction) -> str | None:
        return row.decision or None

    def get_confidence(self, row: Prediction) -> float | None:
        return confidence(row)

    def get_probabilities(self, row: Prediction) -> dict[str, float] | None:
        if row.probability is None or confidence(row) is None:
            return None
        return {"cataract": row.probability, "normal": 1 - row.probability}

    def get_model_used(self, row: Prediction) -> str:
        return model_used(row)

    def get_models(self, row: Prediction) -> dict[str, dict[str, float | None]]:
        return {
            "fast": {"score": row.fast_score, "probability": row.fast_probability},
            "accurate": {"score": row.accurate_score, "probability": row.accurate_probability},
        }

    def get_processing_time(self, row: Prediction) -> float | None:
        total = row.timings.get("total")
        return None if total is None else round(total / 1000, 4)

    def get_message(self, row: Prediction) -> str:
        return describe(row).headline

    def get_next(self, row: Prediction) -> str:
        return describe(row).next

    def get_advice(self, row: Prediction) -> str:
        return describe(row).advice

    def get_image(self, row: Prediction) -> dict[str, Any]:
        image = row.image
        return {
            "id": str(image.pk),
            "sha256": image.sha256,
            "patient": image.patient_key,
            "eye": image.eye,
            "width": image.width,
            "height": image.height,
            "near_duplicate_of": str(image.near_duplicate_of_id) if image.near_duplicate_of_id else None,
        }

    def get_intended_use(self, row: Prediction) -> str:
        return settings.INTENDED_USE


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """One release: what it is and whether it serves."""

    class Meta:
        model = Release
        fields = ("id", "status", "encoder", "created_at", "promoted_at", "metrics")
        read_only_fields = fields


class ProblemSerializer(serializers.Serializer[Any]):
    """A refusal (RFC 9457). `code` is for programs and never changes; `detail` is a sentence for people."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False)
    errors = serializers.DictField(  # type: ignore[assignment]  # a field of the body, not the serializer's own
        child=serializers.ListField(child=serializers.CharField()), required=False
    )
    existing = serializers.UUIDField(required=False, help_text="The earlier prediction of the same photo.")


class BatchUploadSerializer(serializers.Serializer[Any]):
    """Many photos to judge. What the table says of a file goes before what is said of all."""

    photos = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        help_text="Up to 100 photo files; repeat the field.",
    )
    archive = serializers.FileField(required=False, help_text="One ZIP of photos instead; it may hold 10,000 files.")
    table = serializers.FileField(
        required=False,
        allow_empty_file=True,
        help_text="CSV with the columns file, patient, eye, site, device, captured_at, may_train; only file is needed.",
    )
    patient = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    eye = serializers.ChoiceField(choices=["OD", "OS"], required=False, default="", allow_blank=True)
    site = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    device = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    may_train = serializers.BooleanField(required=False, default=True)
    mode = serializers.ChoiceField(choices=Prediction.Mode.choices, default=Prediction.Mode.CASCADE)

    def validate_patient(self, value: str) -> str:
        if value:
            PATIENT_KEY(value)
        return value

    def facts(self) -> Facts:
        """What is said of every photo."""
        said = self.validated_data
        return Facts(said["patient"], said["eye"], said["site"], said["device"], None, said["may_train"])


def batch_files(files: Any) -> tuple[list[SpooledFile], SpooledFile | None, Table | None]:
    """The photos, the archive and the table of a batch. Raises BadField and TableRefused."""
    found = {name: list(files.getlist(name)) for name in ("photos", "archive", "table")}
    for name in ("archive", "table"):
        if len(found[name]) > 1:
            raise BadField(name, f"Send one file in the field `{name}`.", code="too_many_files", status=400)
    table = read_table(found["table"][0].read(MAX_TABLE_BYTES + 1), PATIENT_KEY) if found["table"] else None
    return found["photos"], next(iter(found["archive"]), None), table


class BatchSerializer(serializers.ModelSerializer[Batch]):
    """One batch and how far it is."""

    files = serializers.SerializerMethodField(help_text="How many files wait, are stored, were known, were refused.")
    results = serializers.SerializerMethodField(help_text="Where the outcome of each file is found.")

    class Meta:
        model = Batch
        fields = ("id", "status", "name", "mode", "total", "files", "results", "created_at", "done_at")
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_files(self, row: Batch) -> dict[str, int]:
        return progress_of(row)

    def get_results(self, row: Batch) -> str:
        return f"/api/v1/batches/{row.pk}/results"


class BatchItemSerializer(serializers.ModelSerializer[BatchItem]):
    """One file of a batch: stored, known (sent before), refused (code and message say why), or still waiting."""

    file = serializers.CharField(source="name", read_only=True)
    patient = serializers.CharField(source="patient_key", read_only=True)
    result = serializers.SerializerMethodField()

    class Meta:
        model = BatchItem
        fields = ("file", "status", "code", "message", "patient", "eye", "result")
        read_only_fields = fields

    @extend_schema_field(PredictionSerializer(allow_null=True))
    def get_result(self, row: BatchItem) -> Any:
        found = result_of(row)
        return None if found is None else PredictionSerializer(found).data


class LiveSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()


class ReadySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ready", "degraded", "unavailable"])
    checks = serializers.DictField(child=serializers.CharField())


class SystemSerializer(serializers.Serializer[Any]):
    release = serializers.CharField(allow_null=True)
    versions = serializers.DictField(child=serializers.CharField())
    queued = serializers.IntegerField(help_text="Predictions that wait for a worker.")
    oldest_queued_seconds = serializers.FloatField(allow_null=True)
    answered_last_hour = serializers.IntegerField()
    answers_per_second = serializers.FloatField(help_text="Mean of the last five minutes.")
    failed = serializers.IntegerField()
    milliseconds = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="p50, p95, p99 of the last answers, all stages."
    )
    milliseconds_of = serializers.IntegerField(help_text="How many answers these percentiles are of, at most 500.")
    batches_running = serializers.IntegerField()
    webhooks_waiting = serializers.IntegerField()
    memory_bytes = serializers.DictField(
        child=serializers.IntegerField(), help_text="process: of the web process that answered; available: of the host."
    )
    disk_free_bytes = serializers.IntegerField()
    queues = serializers.DictField(
        child=serializers.IntegerField(), allow_null=True, help_text="Messages by queue; null: the broker is silent."
    )
    workers = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text="Those that answer.")


class PeriodSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    photos = serializers.IntegerField(help_text="At most 5,000, the newest.")


class DriftMeasureSerializer(serializers.Serializer[Any]):
    n_reference = serializers.IntegerField()
    n_recent = serializers.IntegerField()
    psi = serializers.FloatField(allow_null=True, help_text="Population stability index, ten bins.")
    expected_psi = serializers.FloatField(allow_null=True, help_text="What chance alone gives for these sizes.")
    ks = serializers.FloatField(allow_null=True, help_text="Kolmogorov-Smirnov statistic.")
    p = serializers.FloatField(allow_null=True, help_text="Its p-value.")
    verdict = serializers.ChoiceField(choices=["not_enough_data", "stable", "moderate", "large"])


class DriftSerializer(serializers.Serializer[Any]):
    """Recent photos and answers against earlier ones."""

    recent = PeriodSerializer()
    reference = PeriodSerializer()
    release = serializers.CharField(allow_null=True, help_text="Scores are compared for this release only.")
    minimum = serializers.IntegerField(help_text="Below this size of either sample nothing is said.")
    measures = serializers.DictField(child=DriftMeasureSerializer())
    shares = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField(allow_null=True)), help_text="Of each decision."
    )


class WebhookCreateSerializer(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=500, help_text="https only, and no address inside our network.")
    events = serializers.ListField(child=serializers.ChoiceField(choices=WebhookEndpoint.Event.choices), min_length=1)


class WebhookEndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    events = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = ("id", "url", "events", "active", "created_at")
        read_only_fields = fields


class WebhookCreatedSerializer(WebhookEndpointSerializer):
    """With the secret, which is shown this once."""

    class Meta(WebhookEndpointSerializer.Meta):
        fields = (*WebhookEndpointSerializer.Meta.fields, "secret")
        read_only_fields = fields


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "endpoint",
            "event",
            "payload",
            "status",
            "attempts",
            "response_status",
            "error",
            "created_at",
            "delivered_at",
        )
        read_only_fields = fields
