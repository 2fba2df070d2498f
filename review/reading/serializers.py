"""What the review API takes and returns.

Nothing about the AI is in it before the caller's blind answer is stored, except where `ai_shown_first` is true.
"""

from typing import Any

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.reverse import reverse

from cataract.core.http.users import user_of
from predictions.answering.answers import Answer, Confidence, Grade, OtherPathology, UngradableBecause
from review.cases.models import Reading, ReviewCase
from review.queue import claims
from review.reading import access, amendments
from review.reading.access import Screen, Step

DETAILS = UngradableBecause.choices + OtherPathology.choices


class AnswerSerializer(serializers.Serializer[Any]):
    """One answer. `step` names the question it answers, so a repeated request never answers the next one."""

    step = serializers.ChoiceField(choices=[step.value for step in Step])
    answer = serializers.ChoiceField(choices=Answer.choices)
    grade = serializers.ChoiceField(choices=Grade.choices, required=False, allow_blank=True)
    detail = serializers.ChoiceField(choices=DETAILS, required=False, allow_blank=True)
    unsure = serializers.BooleanField(required=False, default=False)
    confidence = serializers.ChoiceField(choices=Confidence.choices, required=False, allow_blank=True)
    note = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    reason = serializers.CharField(required=False, max_length=2000, help_text="Required to adjudicate.")
    viewer = serializers.DictField(child=serializers.FloatField(), required=False)
    seconds = serializers.FloatField(required=False, min_value=0, max_value=24 * 3600)

    def validate_viewer(self, sent: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in sent.items() if key in Reading.VIEWER_KEYS}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["step"] == Step.ADJUDICATE and not attrs.get("reason", "").strip():
            raise serializers.ValidationError({"reason": "Say why in a few words."})
        return attrs


class AmendSerializer(serializers.Serializer[Any]):
    """Another answer to a resolved case."""

    answer = serializers.ChoiceField(choices=Answer.choices)
    grade = serializers.ChoiceField(choices=Grade.choices, required=False, allow_blank=True)
    detail = serializers.ChoiceField(choices=DETAILS, required=False, allow_blank=True)
    reason = serializers.CharField(max_length=2000, help_text="For the sender of the photo and for the record.")


class ReopenSerializer(serializers.Serializer[Any]):
    """A fresh reading of a resolved case."""

    reason = serializers.CharField(max_length=2000, help_text="For the record.")
    to = serializers.ChoiceField(
        choices=[status.value for status in amendments.REOPEN_FOR],
        default=ReviewCase.Status.FIRST.value,
        help_text="first: fresh readers. second: the first answer stays.",
    )


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
            "confidence",
            "pace",
            "note",
        )


class UnnamedReadingSerializer(serializers.ModelSerializer[Reading]):
    """Another reader's answer, as an adjudicator sees it."""

    class Meta:
        model = Reading
        fields = ("final_answer", "grade", "detail", "unsure", "note")


class AiAnswerSerializer(serializers.Serializer[Any]):
    decision = serializers.CharField()
    probability = serializers.FloatField(allow_null=True)
    fast = serializers.FloatField(allow_null=True, source="fast_probability")
    accurate = serializers.FloatField(allow_null=True, source="accurate_probability")
    release = serializers.CharField(source="release_id")
    reasons = serializers.ListField(child=serializers.CharField())


class CaseSerializer(serializers.Serializer[ReviewCase]):
    """A case for one user: `next_step` is blind, final, adjudicate, or empty when nothing is left for the caller."""

    id = serializers.UUIDField()
    next_step = serializers.SerializerMethodField()
    eye = serializers.CharField(source="shown_eye")
    photo = serializers.SerializerMethodField()
    lease_until = serializers.SerializerMethodField()
    reading = serializers.SerializerMethodField()
    ai = serializers.SerializerMethodField()
    ai_shown_first = serializers.SerializerMethodField()
    readings = serializers.SerializerMethodField()

    def get_next_step(self, case: ReviewCase) -> str:
        return access.STEP_OF_SCREEN.get(access.screen_for(case, self._user), "")

    def get_photo(self, case: ReviewCase) -> str:
        return reverse("review-photo", args=[case.pk], request=self.context["request"])

    def get_lease_until(self, case: ReviewCase) -> str | None:
        claimed = claims.claimed_by(self._user).filter(pk=case.pk).first()
        return claimed.lease_until.isoformat() if claimed is not None and claimed.lease_until else None

    def get_reading(self, case: ReviewCase) -> dict[str, Any] | None:
        reading = access.own_reading(case, self._user)
        return dict(OwnReadingSerializer(reading).data) if reading is not None else None

    def get_ai(self, case: ReviewCase) -> dict[str, Any] | None:
        is_shown = self.context["ai_first"] or access.may_see_ai(case, access.own_reading(case, self._user))
        return dict(AiAnswerSerializer(case.prediction).data) if is_shown else None

    def get_ai_shown_first(self, case: ReviewCase) -> bool:
        """True where the AI's answer is shown before this reading on purpose (a marked, random share)."""
        return bool(self.context["ai_first"])

    def get_readings(self, case: ReviewCase) -> list[Any]:
        if access.screen_for(case, self._user) != Screen.ADJUDICATE:
            return []
        return list(UnnamedReadingSerializer(access.readings_to_adjudicate(case), many=True).data)

    @property
    def _user(self) -> User:
        return user_of(self.context["request"])
