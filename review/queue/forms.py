"""Forms of the worklist: its filters, and assigning the selected cases."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from review.cases.models import ReviewCase
from review.queue import worklist
from review.queue.policy import BAND_OF_REASON

AGES = [("", "Any age"), ("hour", "Over an hour"), ("day", "Over a day"), ("week", "Over a week")]
ANY_READER = "any"


class WorklistForm(forms.Form):
    """The filters of the worklist, as they appear in its address. Invalid ones do not filter."""

    state = forms.ChoiceField(required=False)
    age = forms.ChoiceField(required=False, choices=AGES)
    site = forms.ChoiceField(required=False)
    reader = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Claimed by or assigned to")
    reason = forms.ChoiceField(
        required=False, choices=[("", "Any reason"), *((each, worklist.SHORT_REASONS[each]) for each in BAND_OF_REASON)]
    )
    late = forms.BooleanField(required=False, label="Late only")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.readers = worklist.readers()
        names = worklist.state_names(user)
        self._set_choices("state", [("", names["open"]), *(item for item in names.items() if item[0] != "open")])
        self._set_choices("site", [("", "Any site"), *((site, site) for site in worklist.sites())])
        self._set_choices("reader", [("", "Any reader"), *self.readers])
        if not worklist.may_see_reasons(user):
            del self.fields["reason"], self.fields["late"]

    def _set_choices(self, name: str, choices: list[tuple[Any, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def filters(self) -> worklist.Filters:
        """The valid filters of the address."""
        self.full_clean()
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return worklist.Filters(**given)


class AssignForm(forms.Form):
    """A reader, a priority, or both, for the selected cases."""

    cases = forms.ModelMultipleChoiceField(
        ReviewCase.objects.all(), error_messages={"required": "Select at least one case."}
    )
    assign = forms.CharField(required=False)
    priority = forms.IntegerField(required=False, min_value=1, max_value=99)
    end_leases = forms.BooleanField(required=False)

    def clean_assign(self) -> User | str | None:
        """A reader, ANY_READER, or None where nothing was chosen."""
        given = str(self.cleaned_data["assign"])
        if given in ("", ANY_READER):
            return given or None
        if given not in {str(pk) for pk, _ in worklist.readers()}:
            raise forms.ValidationError("Choose one of the readers.")
        return User.objects.get(pk=given)
