"""The form that sends an archive of labelled photos."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from predictions.sites.models import Site


class ImportForm(forms.Form):
    """What the folders of the archive mean, and that its photos may train."""

    site = forms.ModelChoiceField(
        Site.objects.none(), label="Where the photos were taken", required=False, empty_label="Not stated"
    )
    labelled = forms.BooleanField(label="Folders named normal and cataract are labels", required=False, initial=True)
    split_from_folders = forms.BooleanField(
        label="Folders named train and test are splits",
        required=False,
        help_text="Otherwise each photo's split is drawn, as for any other photo.",
    )
    consent = forms.BooleanField(
        label="The models may learn from these photos", help_text="Without this consent there is nothing to import."
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        sites = self.fields["site"]
        assert isinstance(sites, forms.ModelChoiceField)
        sites.queryset = Site.objects.of(user)

    def options(self) -> dict[str, Any]:
        """What the service is told; call it on a valid form."""
        return {name: self.cleaned_data[name] for name in ("site", "labelled", "split_from_folders")}
