"""Forms of outcomes: one eye, or a table of many."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from predictions.photos.forms import EYES, PatientKeyField
from predictions.sites.models import Site
from review.outcomes.facts import NOTE_LENGTH, OutcomeFacts, check_seen_on
from review.outcomes.models import Outcome

YES_NO = [("yes", "Yes"), ("no", "No")]


class OutcomeForm(forms.Form):
    """What an eye doctor found in one eye. There is a field for the site only where the user can choose."""

    patient = PatientKeyField()
    site = forms.ModelChoiceField(Site.objects.none(), label="Site", empty_label=None)
    eye = forms.ChoiceField(choices=EYES, widget=forms.RadioSelect)
    cataract = forms.ChoiceField(label="Cataract", choices=YES_NO, widget=forms.RadioSelect)
    operated = forms.BooleanField(required=False, label="The eye was operated for cataract")
    seen_on = forms.DateField(
        label="Day",
        validators=[check_seen_on],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Of the examination. For an operated eye: of the operation.",
    )
    source = forms.ChoiceField(
        label="Known from", choices=[(value, label.capitalize()) for value, label in Outcome.Source.choices]
    )
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="No names: patients are known by their key only.",
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        choice = self.fields["site"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = Site.objects.of(user)
        if choice.queryset.count() < 2:
            del self.fields["site"]

    def facts(self) -> OutcomeFacts:
        """What was stated; call it on a valid form."""
        stated = dict(self.cleaned_data)
        return OutcomeFacts(
            **{**stated, "site": str(stated.get("site") or ""), "cataract": stated["cataract"] == "yes"},
        )


class OutcomeTableForm(forms.Form):
    """Many outcomes as a table."""

    table = forms.FileField(
        label="Table",
        allow_empty_file=True,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": "Choose a CSV file."},
    )
