"""What the review API takes and gives. Nothing of the AI is in it before the caller's blind answer is stored."""

from typing import Any

from rest_framework import serializers
from rest_framework.reverse import reverse

from review.cases.answers import VIEWER_KEYS, Answer, Grade, OtherPathology, UngradableBecause
from review.cases.models import Reading, ReviewCase
from review.queue import access, claims

DETAILS = UngradableBecause.choices + OtherPathology.choices
STEPS = ["blind", "final", "adjudicate"]


class AnswerSerializer(serializers.Serializer[Any]):
    """One answer. `step` says which question it answers, so that a repeated request never answers the next one."""

    step = serializers.ChoiceField(choices=STEPS)
    answer = serializers.ChoiceField(choices=Answer.choices)
    grade = serializers.ChoiceField(choices=Grade.choices, required=False, allow_blank=True)
    detail = serializers.ChoiceField(choices=DETAILS, required=False, allow_blank=True)
    unsure = serializers.BooleanField(required=False, default=False)
    note = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    reason = serializers.CharField(required=False, max_length=2000, help_text="Needed to adjudicate.")
    viewer = serializers.DictField(child=serializers.FloatField(), required=False)
    seconds = serializers.FloatField(required=False, min_value=0, max_value=24 * 3600)

    def validate_viewer(self, sent: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in sent.items() if key in VIEWER_KEYS}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["step"] == "adjudicate" and not attrs.get("reason", "").strip():
            raise serializers.ValidationError({"reason": "Say why in a few words."})
        return attrs


class SkipSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")


class OwnReadingSerializer(serializers.ModelSerializer[Reading]):
    class Meta:
        model = Reading
        fields = (
            "id",
            "role",
            "blind_answer",
            "blind_at",
            "final_answer",
            "final_at",
            "grade",
            "detail",
            "unsure",
            "note",
        )


class UnnamedReadingSerializer(serializers.ModelSerializer[Reading]):
    """Another reader's answer, as an adjudicator sees it."""

    class Meta:
        model = Reading
        fields = ("final_answer", "grade", "detail", "unsure", "note")


class OpinionSerializer(serializers.Serializer[Any]):
    decision = serializers.CharField()
    probability = serializers.FloatField(allow_null=True)
    fast = serializers.FloatField(allow_null=True, source="fast_probability")
    accurate = serializers.FloatField(allow_null=True, source="accurate_probability")
    release = serializers.CharField(source="release_id")
    reasons = serializers.ListField(child=serializers.CharField())


class CaseSerializer(serializers.Serializer[ReviewCase]):
    """A case for one person: `next_step` is blind, final, adjudicate, or empty when nothing is left for the caller."""

    id = serializers.UUIDField()
    next_step = serializers.SerializerMethodField()
    eye = serializers.CharField(source="shown_eye")
    photo = serializers.SerializerMethodField()
    lease_until = serializers.SerializerMethodField()
    reading = serializers.SerializerMethodField()
    ai = serializers.SerializerMethodField()
    ai_shown_first = serializers.SerializerMethodField()
    readings = serializers.SerializerMethodField()

    _STEP = {"blind": "blind", "reveal": "final", "adjudicate": "adjudicate"}

    def get_next_step(self, case: ReviewCase) -> str:
        return self._STEP.get(access.step(case, self._person), "")

    def get_photo(self, case: ReviewCase) -> str:
        return reverse("review-photo", args=[case.pk], request=self.context["request"])

    def get_lease_until(self, case: ReviewCase) -> str | None:
        held = claims.held_by(self._person).filter(pk=case.pk).first()
        return held.lease_until.isoformat() if held is not None and held.lease_until else None

    def get_reading(self, case: ReviewCase) -> dict[str, Any] | None:
        own = access.own_reading(case, self._person)
        return dict(OwnReadingSerializer(own).data) if own is not None else None

    def get_ai(self, case: ReviewCase) -> dict[str, Any] | None:
        own = access.own_reading(case, self._person)
        if self.context.get("ai_first"):
            return dict(OpinionSerializer(case.prediction).data)
        if not access.is_told(case, own):
            return None
        return dict(OpinionSerializer(case.prediction).data)

    def get_ai_shown_first(self, case: ReviewCase) -> bool:
        """True where the AI's answer is shown before this reading on purpose (a marked, random share)."""
        return bool(self.context.get("ai_first"))

    def get_readings(self, case: ReviewCase) -> list[Any]:
        if access.step(case, self._person) != "adjudicate":
            return []
        others = case.readings.filter(retracted_at__isnull=True).exclude(role=Reading.Role.EXTRA).order_by("pk")
        return list(UnnamedReadingSerializer(others, many=True).data)

    @property
    def _person(self) -> Any:
        return self.context["request"].user
