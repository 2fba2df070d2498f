"""The filters of predictions, the same in the address of the list of uploads and as parameters of the API."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from django_filters.fields import IsoDateTimeField  # type: ignore[import-untyped]

from predictions.answering.answers import Answer
from predictions.answering.blindness import reads_blind
from predictions.answering.models import FinalResult, Prediction, PredictionQuerySet
from predictions.news.models import News
from predictions.photos.models import EyeImage
from predictions.sites.models import Device, Site

_DATE_LENGTH = len("2026-01-31")
_MOST_NAMES = 500


class EndField(IsoDateTimeField):  # type: ignore[misc]
    """The end of a period: a date without a time includes that day."""

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        is_day = isinstance(value, str) and len(value.strip()) == _DATE_LENGTH
        return moment + timedelta(days=1) if moment is not None and is_day else moment


class EndFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]
    field_class = EndField


class PredictionFilter(filters.FilterSet):  # type: ignore[misc]  # the package has no types
    BY_ANSWER: ClassVar = ("state", "answer", "decision", "status", "needs_review", "changed_since", "new")

    patient = filters.CharFilter(field_name="image__patient__key", label="Patient key", help_text="The whole key.")
    patient_prefix = filters.CharFilter(
        field_name="image__patient__key",
        lookup_expr="istartswith",
        label="Patient key starts with",
        help_text="The beginning of the key, in capital or small letters.",
    )
    state = filters.MultipleChoiceFilter(
        choices=Prediction.State.choices, method="in_state", label="State", help_text="Repeat it for several states."
    )
    answer = filters.ChoiceFilter(
        choices=Answer.choices, method="with_answer", label="Answer", help_text="The answer of the final result."
    )
    decision = filters.ChoiceFilter(choices=Prediction.Decision.choices, label="The AI's answer")
    since = filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="gte", label="Sent from", help_text="Sent at or after this time."
    )
    until = EndFilter(
        field_name="created_at",
        lookup_expr="lt",
        label="Sent until",
        help_text="Sent before this time; a date includes its day.",
    )
    eye = filters.ChoiceFilter(
        field_name="image__eye",
        choices=[choice for choice in EyeImage.Eye.choices if choice[0] in EyeImage.Eye.known()],
        label="Eye",
    )
    site = filters.CharFilter(field_name="image__site__name", label="Site", help_text="The site's name.")
    device = filters.CharFilter(field_name="image__device__name", label="Camera", help_text="The camera's name.")
    status = filters.ChoiceFilter(choices=Prediction.Status.choices)
    needs_review = filters.BooleanFilter()
    withdrawn = filters.BooleanFilter(
        field_name="image__withdrawn_at",
        lookup_expr="isnull",
        exclude=True,
        help_text="true: withdrawn photos only. They are left out otherwise, except with `changed_since`.",
    )
    changed_since = filters.IsoDateTimeFilter(
        method="since_change",
        help_text="Sent, answered, or with a final result given, amended or taken back at or after this time.",
    )
    new = filters.BooleanFilter(
        method="is_new",
        label="Answered since I last looked",
        help_text="true: answered by clinicians since you last looked.",
    )

    class Meta:
        model = Prediction
        fields: tuple[str, ...] = ()

    def filter_queryset(self, queryset: PredictionQuerySet) -> QuerySet[Prediction]:
        """Withdrawn photos are listed when asked for, and for whoever follows what has changed."""
        if self.leaves_out_blind:
            queryset = queryset.known_to(self.request.user)
        asked = self.form.cleaned_data
        is_hidden = asked.get("withdrawn") is None and not asked.get("changed_since")
        found: QuerySet[Prediction] = super().filter_queryset(queryset.in_use() if is_hidden else queryset)
        return found

    @property
    def active(self) -> set[str]:
        """The names of the filters that narrow the list, or would if they were valid."""
        return {name for name in self.filters if any(self.data.getlist(name))}

    @property
    def leaves_out_blind(self) -> bool:
        """Whether the list is chosen by answers, for somebody who may still read some of its photos blind."""
        return not self.active.isdisjoint(self.BY_ANSWER) and reads_blind(self.request.user)

    def in_state(self, rows: PredictionQuerySet, _name: str, states: list[str]) -> PredictionQuerySet:
        return rows.in_state(*states) if states else rows

    def with_answer(self, rows: PredictionQuerySet, _name: str, answer: str) -> PredictionQuerySet:
        return rows.filter(Exists(FinalResult.objects.standing().filter(prediction=OuterRef("pk"), answer=answer)))

    def since_change(self, rows: PredictionQuerySet, _name: str, moment: datetime) -> PredictionQuerySet:
        return rows.changed_since(moment)

    def is_new(self, rows: PredictionQuerySet, _name: str, wanted: bool) -> PredictionQuerySet:
        news = Exists(News.objects.visible_to(self.request.user).unseen().filter(prediction=OuterRef("pk")))
        return rows.filter(news if wanted else ~news)


class UploadsFilter(PredictionFilter):
    """The same filters as the form of the list of uploads: dates, and names to choose from."""

    MORE: ClassVar = ("answer", "since", "until", "eye", "site", "device", "decision")  # shown on request

    def get_form_class(self) -> Any:
        form_class = super().get_form_class()
        fields = form_class.base_fields
        for field in fields.values():
            field.help_text = ""  # written for programs
        for name in ("since", "until"):
            fields[name].widget = forms.DateInput(attrs={"type": "date"})
        fields["patient_prefix"].widget.attrs.update(autocomplete="off", spellcheck="false")
        fields["state"].widget = forms.CheckboxSelectMultiple(choices=fields["state"].choices)
        sites = Site.objects.of(self.request.user)
        self._offer(fields, "site", "Any site", sites)
        self._offer(fields, "device", "Any camera", Device.objects.filter(site__in=sites))
        for name, words in (("answer", "Any answer"), ("decision", "Any answer"), ("eye", "Both eyes")):
            fields[name].empty_label = words
        return form_class

    def _offer(self, fields: dict[str, Any], name: str, empty: str, rows: QuerySet[Any]) -> None:
        """Make a field a choice of names: of these rows, and the one that is chosen already."""
        names = {*rows.values_list("name", flat=True)[:_MOST_NAMES], self.data.get(name)} - {None, ""}
        fields[name].widget = forms.Select(choices=[("", empty), *((each, each) for each in sorted(names))])

    @property
    def shows_more(self) -> bool:
        """Whether a filter is in use that is shown on request only."""
        return not self.active.isdisjoint(self.MORE)

    @property
    def more(self) -> list[forms.BoundField]:
        return [self.form[name] for name in self.MORE]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """Filters in use that have no field in the form, as (name, value)."""
        shown = {"patient_prefix", "state", "new", *self.MORE}
        return [(name, value) for name in sorted(self.active - shown) for value in self.data.getlist(name)]
