"""The upload as the API takes it. Field names are part of the API; each field's help text defines it."""

from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from rest_framework import serializers

from cataract.core.errors import BadField
from cataract.core.http.limits import with_limits
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.photos.serializers import FactsSerializer
from predictions.photos.validators import LABEL_LENGTH, check_captured_at


class VisibleResult(serializers.PrimaryKeyRelatedField[Prediction]):
    """The id of a result that the caller may see."""

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.visible_to(user_of(self.context["request"]))


class UploadSerializer(FactsSerializer):
    """A photo to judge. Unknown fields are refused by name."""

    photo = serializers.FileField(
        allow_empty_file=True,  # photos.intake gives the better message
        help_text=with_limits(
            "One JPEG, PNG or WebP photo of the front of an eye, or a DICOM file that holds one; at most {max_photo}."
        ),
    )
    patient = serializers.CharField(
        source="patient_key",
        required=False,
        default="",
        allow_blank=True,
        max_length=64,
        help_text="The patient's pseudonym, never a name.",
    )
    eye = serializers.ChoiceField(choices=EyeImage.Eye.known(), help_text="OD is the right eye, OS the left.")
    mode = serializers.ChoiceField(
        choices=Prediction.Mode.choices,
        default=Prediction.Mode.CASCADE,
        help_text="cascade: the accurate model in the unsure band only. fast, accurate: one model. always: both.",
    )
    site = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    device = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    captured_at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    may_train = serializers.BooleanField(
        required=False,
        default=None,
        allow_null=True,
        help_text="Consent to train with this photo. Not stated: the default of its site, which is yes at first.",
    )
    retake_of = VisibleResult(
        pk_field=serializers.UUIDField(),
        required=False,
        default=None,
        allow_null=True,
        help_text="The id of the result whose photo this one replaces, of the same patient and eye.",
    )
    send_anyway = serializers.BooleanField(
        required=False, default=False, help_text="Predict again for a photo that is already stored for this eye."
    )

    def validate_retake_of(self, value: Prediction | None) -> UUID | None:
        return None if value is None else value.image_id

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
    photo: UploadedFile[Any] = sent[0]
    return photo
