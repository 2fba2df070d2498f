"""Forms of the reading page: the blind answer, the final answer, the adjudication, and the keys."""

import json
from typing import Any

from django import forms
from django.contrib.auth.models import User

from predictions.answering.answers import Answer, Confidence, Grade, OtherPathology, UngradableBecause
from review.cases.models import Concern, Reading, ReviewCase
from review.reading.amendments import REOPEN_FOR
from review.reading.concerns import colleagues_of
from review.reading.keyboard import KEYS, VIEW

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
    confidence = forms.ChoiceField(
        choices=Confidence.choices, required=False, label="How sure are you?", widget=forms.RadioSelect
    )
    grade = forms.ChoiceField(choices=GRADES, required=False, label="Grade, if cataract", widget=forms.RadioSelect)
    detail = forms.ChoiceField(choices=DETAILS, required=False, label="Details, if cannot judge or other pathology")
    unsure = forms.BooleanField(required=False, widget=forms.HiddenInput)
    note = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class FinalForm(_AnswerForm):
    """The reader's answer after the AI's is shown."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Keep your answer or change it."})


class AdjudicationForm(_AnswerForm):
    """A decision between two readers who differ."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages=MISSING_ANSWER)
    reason = forms.CharField(
        max_length=2000,
        label="Why (required)",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why in a few words, for both readers and for the record."},
    )


class AskForm(forms.Form):
    """Ask a colleague or a senior to read a case, or flag it."""

    kind = forms.ChoiceField(
        label="What",
        widget=forms.RadioSelect,
        choices=[
            (Concern.Kind.COLLEAGUE, "Ask a colleague to read it"),
            (Concern.Kind.SENIOR, "Escalate to a senior"),
            (Concern.Kind.FLAG, "Flag it and go on reading"),
        ],
        error_messages={"required": "Choose what to do."},
    )
    colleague = forms.ModelChoiceField(queryset=User.objects.none(), required=False, empty_label="Choose a colleague")
    reason = forms.CharField(
        max_length=500,
        label="Why (required)",
        widget=forms.TextInput,
        help_text="Whoever reads the case next does not see it. Name no patient.",
        error_messages={"required": "Say why in a few words."},
    )

    def __init__(self, *args: Any, asker: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "ask_%s"  # the same page has another form with a reason
        self.fields["colleague"].queryset = colleagues_of(asker)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("kind") == Concern.Kind.COLLEAGUE and not self.cleaned_data.get("colleague"):
            self.add_error("colleague", "Choose a colleague.")
        return self.cleaned_data


class ViewForm(forms.Form):
    """The filters to keep, as JSON; empty to keep none."""

    view = forms.CharField(required=False, max_length=300)

    def clean_view(self) -> dict[str, Any]:
        """Only known filters, each a number or a boolean."""
        try:
            sent = json.loads(self.cleaned_data["view"] or "{}")
        except ValueError as error:
            raise forms.ValidationError("This is not JSON.") from error
        if not isinstance(sent, dict):
            raise forms.ValidationError("This is not an object.")
        return {name: sent[name] for name in VIEW if isinstance(sent.get(name), bool | int | float)}


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
