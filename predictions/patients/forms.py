"""The search form of the list of patients."""

from django import forms
from django.db.models import QuerySet

from predictions.photos.forms import PatientKeyField
from predictions.sites.models import Patient


class SearchForm(forms.Form):
    """The first characters of a patient key."""

    key = PatientKeyField(required=False, help_text="Its first characters are enough.")

    def among(self, patients: QuerySet[Patient]) -> QuerySet[Patient]:
        """The patients whose key begins like this, in upper or lower case; none for what is no key."""
        if not self.is_valid():
            return patients.none()
        return patients.filter(key__istartswith=self.cleaned_data["key"])
