"""Forms of practice: the start, one answer, the choice of cases, the instructions."""

from django import forms

from predictions.answering.answers import Answer
from review.cases.models import ReviewCase
from review.practice.models import PracticeSession


class StartForm(forms.Form):
    kind = forms.ChoiceField(choices=PracticeSession.Kind.choices)


class PracticeForm(forms.Form):
    number = forms.IntegerField(min_value=1, max_value=1000)
    answer = forms.ChoiceField(choices=Answer.choices)


class InstructionsForm(forms.Form):
    text = forms.CharField(
        label="Instructions",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 18}),
        help_text="Plain text. An empty line begins a new paragraph.",
    )


class ChoiceForm(forms.Form):
    """One case to practise on, or to take out."""

    case = forms.ModelChoiceField(ReviewCase.objects.all())
    act = forms.ChoiceField(choices=[("choose", "Use it for practice"), ("take_out", "Take it out")])
