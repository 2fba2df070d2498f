"""What a reader may send with an answer, for the pages and the API alike."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from review.cases.models import ReviewCase
from review.queue import worklist
from review.queue.policy import BAND_OF_REASON

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
