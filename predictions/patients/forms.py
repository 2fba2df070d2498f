"""The search form of the list of patients."""

from django import forms
from django.db.models import QuerySet

from predictions.photos.forms import PatientKeyField
from predictions.photos.models import EyeImage


class SearchForm(forms.Form):
    """The first characters of a patient key."""

    key = PatientKeyField(required=False, help_text="Its first characters are enough.")

    def among(self, photos: QuerySet[EyeImage]) -> QuerySet[EyeImage]:
        """The photos of patients whose key begins like this, in upper or lower case; none for what is no key."""
        if not self.is_valid():
            return photos.none()
        begins = self.cleaned_data["key"]
        return photos.filter(patient__key__istartswith=begins) if begins else photos
