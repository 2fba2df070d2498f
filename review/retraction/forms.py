"""The form that retracts the labels of a reader."""

from django import forms

from review.retraction.models import Retraction


class RetractionForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Retraction
        fields = ("reader", "reason")
        labels = {"reason": "Why?"}
        help_texts = {"reason": "Kept on record with your name."}
