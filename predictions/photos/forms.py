"""What the forms for one photo and for many share."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.utils.text import capfirst

from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.photos.validators import PATIENT_KEY, check_captured_at
from predictions.sites.models import Device, Site

EYES = [(eye, capfirst(EyeImage.Eye(eye).label)) for eye in EyeImage.Eye.known()]


class PatientKeyField(forms.CharField):
    """A patient's pseudonym; browsers neither complete nor correct it."""

    def __init__(self, **options: Any) -> None:
        quiet = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
        widget = forms.TextInput(attrs=quiet)
        super().__init__(label="Patient key", max_length=64, validators=[PATIENT_KEY], widget=widget, **options)


class ConsentField(forms.BooleanField):
    """The consent to training. The form says whether the site has it ticked at first."""

    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False)

    def start_as(self, ticked: bool) -> None:
        self.initial = ticked
        at_first = "Yes unless you untick it" if ticked else "No unless you tick it"
        self.help_text = f"{at_first}. It changes nothing for this answer, and can be changed later on the result page."


class FactsForm(forms.Form):
    """What `user` states about photos. Each form adds `patient_key`, `eye` and `may_train` in its own words.

    There is a field for the site only where the user can choose, and one for the device only where some are known.
    """

    site = forms.ModelChoiceField(Site.objects.none(), label="Site", empty_label=None)
    device = forms.ModelChoiceField(
        Device.objects.none(),
        label="Camera or phone",
        required=False,
        empty_label="As the photo says",
        help_text="Photos from phones and cameras usually name the device themselves.",
    )
    captured_at = forms.DateTimeField(
        label="Taken at",
        required=False,
        validators=[check_captured_at],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Only if the photo was not taken just now and its file does not say when.",
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        sites = Site.objects.of(user)
        first = user.sites.order_by("pk").first() or Site.objects.default()
        self._offer("site", sites, first)
        self._offer("device", Device.objects.filter(site__in=sites).select_related("site"), None)
        consent = self.fields["may_train"]
        assert isinstance(consent, ConsentField)
        consent.start_as(first.trains_by_default)

    def _offer(self, field: str, rows: Any, initial: Any) -> None:
        choice = self.fields[field]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset, choice.initial = rows, initial
        if rows.count() <= (field == "site"):  # nothing to choose
            del self.fields[field]

    def facts(self) -> PhotoFacts:
        """What was stated; call it on a valid form."""
        chosen = {name: str(self.cleaned_data.get(name) or "") for name in ("site", "device")}
        return PhotoFacts.among(self.cleaned_data | chosen)
