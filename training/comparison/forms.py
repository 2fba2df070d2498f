"""Forms of comparisons: changing the serving release needs a reason, and so does sending photos to readers."""

from collections.abc import Sequence
from typing import Any

from django import forms


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class SendForm(forms.Form):
    """Which of the photos on a page go to readers, and why."""

    which = forms.ChoiceField(choices=[("all", "all"), ("ticked", "ticked")], required=False)
    reason = forms.CharField(label="Why", min_length=10, max_length=500)

    def __init__(self, *args: Any, images: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.images = images
        self.fields["photos"] = forms.MultipleChoiceField(choices=[(image, image) for image in images], required=False)

    def chosen(self) -> list[str]:
        """The ids of the chosen photos; call it on a valid form."""
        return list(self.images if self.cleaned_data["which"] == "all" else self.cleaned_data["photos"])
