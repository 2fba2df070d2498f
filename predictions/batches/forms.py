"""The form of the batch page."""

import uuid

from django import forms

from predictions.photos.validators import LABEL_LENGTH, PATIENT_KEY


class BatchForm(forms.Form):
    """The facts that apply to every photo of a batch."""

    patient_key = forms.CharField(
        label="Patient key",
        max_length=64,
        required=False,
        validators=[PATIENT_KEY],
        help_text="Only when all photos are of one patient; else name the patients in the table.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}),
    )
    eye = forms.ChoiceField(
        label="Which eye?",
        choices=[("", "Not stated"), ("OD", "Right eye (OD)"), ("OS", "Left eye (OS)")],
        required=False,
    )
    site = forms.CharField(label="Site", max_length=LABEL_LENGTH, required=False)
    device = forms.CharField(label="Camera or phone", max_length=LABEL_LENGTH, required=False)
    may_train = forms.BooleanField(label="These photos may be used to improve the models", required=False, initial=True)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
