"""What a reader may send with an answer, for the pages and the API alike."""

import json
from typing import Any

from django import forms

from review.cases.answers import VIEWER_KEYS, Answer, Grade, OtherPathology, UngradableBecause
from review.reading.shortcuts import KEYS

GRADES = [("", "Not graded"), *Grade.choices]
DETAILS = [
    ("", "Not stated"),
    ("Cannot judge because", UngradableBecause.choices),
    ("Other pathology", OtherPathology.choices),
]


class _Answered(forms.Form):
    seconds = forms.FloatField(required=False, min_value=0, max_value=24 * 3600, widget=forms.HiddenInput)
    viewer = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)

    def clean_viewer(self) -> dict[str, Any]:
        """Zoom and filters in use; anything else a page might send is dropped."""
        try:
            sent = json.loads(self.cleaned_data["viewer"] or "{}")
        except ValueError:
            return {}
        if not isinstance(sent, dict):
            return {}
        return {key: sent[key] for key in VIEWER_KEYS & sent.keys() if isinstance(sent[key], bool | int | float)}


class BlindForm(_Answered):
    """The reader's own answer, before the AI is shown."""

    answer = forms.ChoiceField(
        choices=Answer.choices,
        error_messages={"required": "Choose one of the five answers.", "invalid_choice": "Choose one of the answers."},
    )
    grade = forms.ChoiceField(choices=GRADES, required=False, label="Cataract is")
    detail = forms.ChoiceField(choices=DETAILS, required=False, label="Cannot judge, or other: which")
    unsure = forms.BooleanField(required=False, label="I am unsure: ask a second reader")
    note = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class FinalForm(_Answered):
    """What the reader says once the AI was shown."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Keep your answer or change it."})


class AdjudicationForm(_Answered):
    """A decision between two readers who differ."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Choose one of the five answers."})
    reason = forms.CharField(
        max_length=2000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why in a few words: both readers and the record need it."},
    )


class KeysForm(forms.Form):
    """One key for each action of the reading page; empty switches it off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for action, key in KEYS.items():
            field = forms.CharField(max_length=1, required=False, label=key.words, help_text=f"Usually {key.usual}")
            field.widget.attrs |= {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
            self.fields[action] = field

    def clean(self) -> dict[str, str]:
        """Lower case, as the page compares them; the same key twice is refused with both its places named."""
        keys = {action: str(self.cleaned_data.get(action, "")).lower() for action in KEYS}
        places: dict[str, str] = {}
        for action, key in keys.items():
            if key and key in places:
                words = f"{KEYS[places[key]].words} has this key too. Choose another, or leave one of them empty."
                self.add_error(action, words)
            places.setdefault(key, action)
        return keys
