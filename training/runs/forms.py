"""The form that starts a training run."""

from typing import Any

from django import forms

from predictions.releases.models import Release
from training.runs.models import TrainingRun
from training.runs.parameters import CHOICES, DISTIL_LABEL, KEPT, PROMISE, SEARCH_LABEL, SEARCHES, parameters_of


def _number(name: str) -> forms.Field:
    """The field of one of `training.runs.parameters.CHOICES`. Left empty, it keeps its default."""
    choice = CHOICES[name]
    field: Any = forms.IntegerField if choice.type is int else forms.FloatField
    number: forms.Field = field(
        label=choice.label,
        min_value=choice.type(choice.low),
        max_value=choice.type(choice.high),
        initial=choice.default,
        required=False,
        help_text=KEPT if name in PROMISE else "",
    )
    return number


class StartForm(forms.Form):
    kind = forms.ChoiceField(label="What to train", choices=TrainingRun.Kind, initial=TrainingRun.Kind.BOTH)
    base = forms.ModelChoiceField(
        label="Start from the encoder of",
        queryset=Release.objects.exclude(status=Release.Status.REJECTED),
        required=False,
        empty_label="the champion",
        help_text="A base release (`manage.py change_encoder`) brings another encoder; train both models from it.",
    )
    reason = forms.CharField(label="Why", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
    search = forms.ChoiceField(label=SEARCH_LABEL, choices=SEARCHES, required=False)
    trials = _number("trials")
    minutes = _number("minutes")
    epochs = _number("epochs")
    distil = forms.BooleanField(label=DISTIL_LABEL, required=False)
    teach_weight = _number("teach_weight")
    teach_floor = _number("teach_floor")
    max_missed = _number("max_missed")
    max_false_alarms = _number("max_false_alarms")
    confidence = _number("confidence")
    prevalence = _number("prevalence")

    @property
    def budget(self) -> list[forms.BoundField]:
        """The fields that usually stay as they are."""
        names = ("search", "trials", "minutes", "epochs", "distil", "teach_weight", "teach_floor")
        return [self[name] for name in names]

    @property
    def promise(self) -> list[forms.BoundField]:
        """What the automatic answers of the release will promise."""
        return [self[name] for name in PROMISE]

    def request(self) -> dict[str, Any]:
        """The arguments of `services.start_training`. A field left empty keeps its default."""
        values = self.cleaned_data
        return {
            "kind": values["kind"],
            "base": values["base"],
            "reason": values["reason"],
            "parameters": parameters_of(values),
        }
