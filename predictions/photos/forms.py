"""What the forms for one photo and for many share."""

from typing import Any

from django import forms
from django.utils.text import capfirst

from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.photos.validators import LABEL_LENGTH, PATIENT_KEY

EYES = [(eye, capfirst(EyeImage.Eye(eye).label)) for eye in EyeImage.Eye.known()]


class PatientKeyField(forms.CharField):
    """A patient's pseudonym; browsers neither complete nor correct it."""

    def __init__(self, **options: Any) -> None:
        quiet = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
        widget = forms.TextInput(attrs=quiet)
        super().__init__(label="Patient key", max_length=64, validators=[PATIENT_KEY], widget=widget, **options)


class FactsForm(forms.Form):
    """What is stated about photos. Each form adds `patient_key`, `eye` and `may_train` in its own words."""

    site = forms.CharField(label="Site", max_length=LABEL_LENGTH, required=False)
    device = forms.CharField(label="Camera or phone", max_length=LABEL_LENGTH, required=False)

    def facts(self) -> PhotoFacts:
        """What was stated; call it on a valid form."""
        return PhotoFacts.among(self.cleaned_data)
