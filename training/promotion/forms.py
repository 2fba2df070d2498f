"""Forms to promote a release and to state the cause of a flip."""

from typing import Any

from django import forms

from training.comparison.forms import ReasonForm
from training.comparison.models import FlipCause


class PromoteForm(ReasonForm):
    """In the bar at the foot of the page, so its reason is one line tall."""

    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 1}))
    acknowledge_too_few = forms.BooleanField(
        label="I know that there are too few photos to judge this release", required=False
    )


class FlipForm(forms.Form):
    """Why it is accepted that the challenger gets this photo wrong."""

    cause = forms.ChoiceField(label="Cause", choices=FlipCause.Cause, widget=forms.RadioSelect)


class RejectionForm(ReasonForm):
    """The reason for rejecting a challenger; it stands beside the form of the promotion."""

    prefix = "reject"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = "Why is it rejected?"
