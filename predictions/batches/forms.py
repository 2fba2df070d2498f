"""The form of the batch page."""

import uuid

from django import forms

from predictions.photos.forms import EYES, ConsentField, FactsForm, PatientKeyField


class BatchForm(FactsForm):
    """The facts that apply to every photo of a batch."""

    name = forms.CharField(label="Name of this batch", max_length=100, required=False)
    patient_key = PatientKeyField(
        required=False,
        help_text="Only when all photos are of one patient; else name the patients in the table.",
    )
    eye = forms.ChoiceField(
        label="Which eye?",
        choices=[("", "Not stated"), *EYES],
        required=False,
    )
    may_train = ConsentField("The models may learn from these photos")
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
