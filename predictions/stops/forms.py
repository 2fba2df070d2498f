"""The forms by which the AI is switched off and on."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from predictions.sites.models import Site


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label="Why?",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why."},
    )


class StopForm(ReasonForm):
    """Where, and why."""

    site = forms.ModelChoiceField(Site.objects.none(), label="Where", required=False, empty_label="At every site")

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        site = self.fields["site"]
        assert isinstance(site, forms.ModelChoiceField)
        site.queryset = Site.objects.of(user).order_by("name")
