"""Forms of the reading page: the blind answer, the final answer, the adjudication, and the keys."""

import json
from typing import Any

from django import forms

from predictions.answering.answers import Answer, Grade, OtherPathology, UngradableBecause
from review.cases.models import Reading, ReviewCase
from review.reading.amendments import REOPEN_FOR
from review.reading.keyboard import KEYS

GRADES = [("", "Not graded"), *Grade.choices]
DETAILS = [
    ("", "Not stated"),
    ("Cannot judge because", UngradableBecause.choices),
    ("Other pathology", OtherPathology.choices),
]
MISSING_ANSWER = {"required": "Choose one of the answers.", "invalid_choice": "Choose one of the answers."}


class _AnswerForm(forms.Form):
    seconds = forms.FloatField(required=False, min_value=0, max_value=24 * 3600, widget=forms.HiddenInput)
    viewer = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)

    def clean_viewer(self) -> dict[str, Any]:
        """Zoom and filters in use; everything else is dropped."""
        try:
            sent = json.loads(self.cleaned_data["viewer"] or "{}")
        except ValueError:
            return {}
        if not isinstance(sent, dict):
            return {}
        return {
            key: sent[key] for key in Reading.VIEWER_KEYS & sent.keys() if isinstance(sent[key], bool | int | float)
        }


class BlindForm(_AnswerForm):
    """The reader's own answer, before the AI's is shown."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages=MISSING_ANSWER)
    grade = forms.ChoiceField(choices=GRADES, required=False, label="Grade, if cataract")
    detail = forms.ChoiceField(choices=DETAILS, required=False, label="Details, if cannot judge or other pathology")
    unsure = forms.BooleanField(required=False, label="I am unsure: ask a second reader")
    note = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class FinalForm(_AnswerForm):
    """The reader's answer after the AI's is shown."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Keep your answer or change it."})


class AdjudicationForm(_AnswerForm):
    """A decision between two readers who differ."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages=MISSING_ANSWER)
    reason = forms.CharField(
        max_length=2000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why in a few words, for both readers and for the record."},
    )


class _ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=2000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The sender of the photo reads this. Name no patient and no reader.",
        error_messages={"required": "Say why in a few words, for the sender and for the record."},
    )


class AmendForm(_ReasonForm):
    """Another answer to a resolved case."""

    answer = forms.ChoiceField(
        choices=[("", "Choose one"), *Answer.choices], label="Right answer", error_messages=MISSING_ANSWER
    )
    grade = forms.ChoiceField(choices=GRADES, required=False, label="Grade, if cataract")
    detail = forms.ChoiceField(choices=DETAILS, required=False, label="Details, if cannot judge or other pathology")

    field_order = ("answer", "grade", "detail", "reason")


class ReopenForm(_ReasonForm):
    """Send a resolved case to a fresh reading."""

    to = forms.ChoiceField(
        label="Reopen for",
        choices=[(status.value, words.capitalize()) for status, words in REOPEN_FOR.items()],
        initial=ReviewCase.Status.FIRST,
    )

    field_order = ("to", "reason")


class KeysForm(forms.Form):
    """One key for each action of the reading page; an empty field switches the key off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for action, key in KEYS.items():
            field = forms.CharField(max_length=1, required=False, label=key.label, help_text=f"Default: {key.default}")
            field.widget.attrs |= {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
            self.fields[action] = field

    def clean(self) -> dict[str, str]:
        """Lower case, as the page compares keys. A key used twice is an error that names its other action."""
        keys = {action: str(self.cleaned_data.get(action, "")).lower() for action in KEYS}
        action_of: dict[str, str] = {}
        for action, key in keys.items():
            if key and key in action_of:
                other = KEYS[action_of[key]].label
                self.add_error(action, f"{other} has this key too. Choose another key, or leave one field empty.")
            action_of.setdefault(key, action)
        return keys
