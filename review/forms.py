"""What a reader may send with an answer, for the pages and the API alike."""

import json
from typing import Any

from django import forms
from django.contrib.auth.models import User

from review import worklist
from review.keys import KEYS
from review.models import VIEWER_KEYS, Answer, Grade, OtherPathology, ReviewCase, UngradableBecause
from review.queue import BAND_OF_REASON

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


AGES = [("", "Any age"), ("hour", "Over an hour"), ("day", "Over a day"), ("week", "Over a week")]


class WorklistForm(forms.Form):
    """The filters of the worklist, as they stand in its address. What does not exist asks for nothing."""

    state = forms.ChoiceField(required=False)
    age = forms.ChoiceField(required=False, choices=AGES)
    site = forms.ChoiceField(required=False)
    reader = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Held by or assigned to")
    reason = forms.ChoiceField(required=False, choices=[("", "Any reason"), *((each, each) for each in BAND_OF_REASON)])

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {"open": "Open", **dict(ReviewCase.Status.choices)}
        states = worklist.STATES if worklist.may_see_reasons(person) else worklist.FOR_READERS
        self.people = worklist.readers()
        self._choose(
            "state", [("", "Open"), *((state, names[state].capitalize()) for state in states if state != "open")]
        )
        self._choose("site", [("", "Any site"), *((site, site) for site in worklist.sites())])
        self._choose("reader", [("", "Anybody"), *self.people])
        if not worklist.may_see_reasons(person):
            del self.fields["reason"]

    def _choose(self, name: str, choices: list[tuple[Any, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def filters(self) -> worklist.Filters:
        """What the address asks for, without what is wrong in it."""
        self.full_clean()
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return worklist.Filters(**given)


class AssignForm(forms.Form):
    """What an admin does with the ticked cases: a reader, a priority, or both."""

    cases = forms.ModelMultipleChoiceField(
        ReviewCase.objects.all(), error_messages={"required": "Tick the cases that you mean."}
    )
    assign = forms.CharField(required=False)
    priority = forms.IntegerField(required=False, min_value=1, max_value=99)

    def clean_assign(self) -> User | str | None:
        """A person, "nobody", or None where nothing was chosen."""
        given = str(self.cleaned_data["assign"])
        if given in ("", "nobody"):
            return given or None
        known = {str(pk) for pk, _ in worklist.readers()}
        if given not in known:
            raise forms.ValidationError("Choose one of the readers.")
        return User.objects.get(pk=given)
