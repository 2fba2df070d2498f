"""The upload form."""

import uuid
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from predictions.photos.forms import EYES, ConsentField, FactsForm, PatientKeyField
from predictions.photos.models import EyeImage


def facts_for_same_eye(image: EyeImage) -> dict[str, Any]:
    """What the form is filled in with for one more photo of the same eye."""
    return {"patient_key": image.patient_key, "eye": image.eye, "site": image.site_id}


def facts_for_retake(image: EyeImage) -> dict[str, Any]:
    """What the form is filled in with to take a photo again: as above, and which photo is replaced."""
    return {**facts_for_same_eye(image), "retake_of": image.pk}


def facts_for_other_eye(image: EyeImage) -> dict[str, Any]:
    """What the form is filled in with for the other eye of the same patient."""
    return {**facts_for_same_eye(image), "eye": EyeImage.Eye(image.eye).other.value}


class UploadForm(FactsForm):
    """One photo with its patient and eye. The photo itself is checked by `photos.intake`."""

    patient_key = PatientKeyField(
        error_messages={"required": "Enter the patient's pseudonym."},
        help_text="The patient's pseudonym, never a name.",
    )
    eye = forms.ChoiceField(
        label="Which eye?",
        choices=EYES,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose which eye it is."},
        help_text="The patient's side: when you face the patient, the right eye is on your left.",
    )
    may_train = ConsentField("The models may learn from this photo")
    send_anyway = forms.BooleanField(required=False, widget=forms.HiddenInput)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    retake_of = forms.ModelChoiceField(EyeImage.objects.none(), required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, user=user, **options)
        retaken = self.fields["retake_of"]
        assert isinstance(retaken, forms.ModelChoiceField)
        retaken.queryset = EyeImage.objects.visible_to(user)

    def clean_retake_of(self) -> uuid.UUID | None:
        """The id of the photo that this one replaces."""
        image: EyeImage | None = self.cleaned_data["retake_of"]
        return None if image is None else image.pk

    def clean(self) -> dict[str, Any]:
        """One photo, from the camera or from the files. Adds `photo`."""
        cleaned = dict(super().clean() or self.cleaned_data)
        photos = [file for file in self.files.getlist("photo") if isinstance(file, UploadedFile)]
        if not photos:
            self.add_error(None, ValidationError("Choose or take a photo.", code="file_required"))
        elif len(photos) > 1:
            self.add_error(None, ValidationError("Send one photo at a time.", code="too_many_files"))
        else:
            cleaned["photo"] = photos[0]
        return cleaned

    @property
    def status(self) -> int:
        """The HTTP status of this form's errors: 400 without exactly one photo, else 422."""
        codes = {error.code for error in self.errors.as_data().get("__all__", [])}
        return 400 if codes & {"file_required", "too_many_files"} else 422
