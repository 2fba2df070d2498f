"""What a person fills in to start a run, to tick a flip, to promote a release, to roll back."""

from django import forms

from training.models import FlipCause, TrainingRun


class StartForm(forms.Form):
    kind = forms.ChoiceField(label="What to train", choices=TrainingRun.Kind, initial=TrainingRun.Kind.BOTH)
    reason = forms.CharField(label="Why", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class PromoteForm(ReasonForm):
    acknowledge_too_few = forms.BooleanField(
        label="I know that there are too few photos to judge this release", required=False
    )


class FlipForm(forms.Form):
    """Why it is accepted that the challenger gets this photo wrong."""

    cause = forms.ChoiceField(label="Cause", choices=FlipCause.Cause, widget=forms.RadioSelect)
