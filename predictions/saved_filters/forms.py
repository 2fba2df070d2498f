"""The form that saves a filter."""

from django import forms
from django.http import QueryDict

from cataract.core.http import keyset
from predictions.saved_filters.models import SavedFilter

_NOT_SAVED = (*keyset.PARAMETERS, "csrfmiddlewaretoken")


class SaveFilterForm(forms.ModelForm):  # type: ignore[type-arg]
    """A name for the filters in an address. Empty filters and the place in the list are left out."""

    class Meta:
        model = SavedFilter
        fields = ("name", "query")
        widgets = {"query": forms.HiddenInput}  # as Django reads it
        error_messages = {
            "name": {"required": "Enter a name for this filter."},
            "query": {"required": "Choose a filter first."},
        }

    def clean_query(self) -> str:
        """The query string in one normal form. Raises ValidationError when nothing is left of it."""
        given = QueryDict(self.cleaned_data["query"].removeprefix("?"), mutable=True)
        for name, values in list(given.lists()):
            kept = [value for value in values if value]
            if kept and name not in _NOT_SAVED:
                given.setlist(name, kept)
            else:
                del given[name]
        if not given:
            raise forms.ValidationError("Choose a filter first.")
        return given.urlencode()
