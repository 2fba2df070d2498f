"""What the API of outcomes takes and returns."""

from typing import Any

from rest_framework import serializers

from predictions.photos.models import EyeImage
from predictions.photos.validators import LABEL_LENGTH, PATIENT_KEY
from review.outcomes.facts import NOTE_LENGTH, OutcomeFacts, check_seen_on
from review.outcomes.models import Outcome


class OutcomeSerializer(serializers.ModelSerializer[Outcome]):
    """What an eye doctor found in one eye."""

    patient = serializers.CharField(source="patient.key", validators=[PATIENT_KEY], help_text="The patient key.")
    site = serializers.CharField(
        source="patient.site.name",
        required=False,
        default="",
        max_length=LABEL_LENGTH,
        help_text="The site of the patient; your own where you name none.",
    )
    eye = serializers.ChoiceField(choices=EyeImage.Eye.known())
    cataract = serializers.BooleanField(help_text="Whether the eye had a cataract.")
    operated = serializers.BooleanField(required=False, default=False)
    seen_on = serializers.DateField(
        validators=[check_seen_on], help_text="Day of the examination; for an operated eye, of the operation."
    )
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field of the body, not the serializer's own
        choices=Outcome.Source.choices, default=Outcome.Source.EXAMINATION
    )
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=NOTE_LENGTH)
    corrects = serializers.PrimaryKeyRelatedField(
        queryset=Outcome.objects.none(),
        required=False,
        allow_null=True,
        write_only=True,
        help_text="The outcome that this one corrects. One of the same eye and day is corrected anyway.",
    )

    class Meta:
        model = Outcome
        fields = (
            "id", "patient", "site", "eye", "cataract", "operated", "seen_on", "source", "note", "created_at",
            "supersedes", "superseded_at", "corrects",
        )  # fmt: skip
        read_only_fields = ("id", "created_at", "supersedes", "superseded_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        request = self.context.get("request")
        corrects = self.fields["corrects"]
        if request is not None and isinstance(corrects, serializers.PrimaryKeyRelatedField):
            corrects.queryset = Outcome.objects.visible_to(request.user)  # type: ignore[arg-type]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what no field is called: a misspelt one would be lost without a word."""
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such field."))
        return attrs

    def facts(self) -> OutcomeFacts:
        """What was stated; call it on valid data."""
        stated = dict(self.validated_data)
        stated.pop("corrects", None)
        patient = stated.pop("patient")
        return OutcomeFacts(patient=patient["key"], site=patient["site"]["name"], **stated)
