"""The sentences of a result, for pages and API."""

from dataclasses import dataclass

from cataract.ml.labels import CLASSES, Advice, Decision, Reason, Route
from predictions.answering.answers import Answer
from predictions.answering.final_results import is_random_check
from predictions.answering.models import FinalResult, Prediction

ADVICE: dict[str, str] = {
    Advice.TOO_DARK: "The photo is too dark. Turn on the light or the flash and take it again.",
    Advice.TOO_BRIGHT: "The photo is too bright. Move the light aside and take it again.",
    Advice.BLURRED: "The photo is blurred. Hold still, tap on the pupil to focus, and take it again.",
    Advice.BLANK: "There is nothing to see in the photo. Uncover the lens and take it again.",
    Advice.NO_EYE_FOUND: (
        "No eye was found. Fill the frame with the open eye, straight from the front, and take it again."
    ),
}
_RETAKE = "Take the photo again: eye wide open, in good light, in focus, straight from the front."

REASONS: dict[str, str] = {
    Reason.UNCERTAIN: "The AI is not sure enough to decide alone.",
    Reason.DISAGREEMENT: "The two models disagree.",
    Reason.OUT_OF_DISTRIBUTION: "This photo looks different from the photos the AI was trained on.",
    Reason.UNGRADABLE: "The photo cannot be judged.",
    Reason.QUALITY: "The image quality is low.",
    Reason.INVALID_SCORE: "The models returned no usable score.",
    Reason.AUDIT_SAMPLE: "Chosen at random: a share of all confident answers is checked.",
    Reason.NO_CHAMPION: "No AI model is in service at the moment.",
    Reason.FAILED: "The analysis of this photo failed.",
}


@dataclass(frozen=True)
class Words:
    """The sentences of one result. `sure` and `figure` are empty where no model judged the photo.

    `decision` is the one to show: the final result's where people answered, empty for an unsure "normal", which must
    not look like one. `basis` says who decided and `ai` what the AI had answered; both are empty until people answer.
    """

    decision: str
    headline: str
    next: str
    basis: str
    ai: str
    sure: str
    figure: str
    advice: str
    reasons: list[str]


def describe(prediction: Prediction) -> Words:
    """The sentences for `prediction`: people's answer first, where there is one."""
    result = prediction.final_result
    people = result if result is not None and result.is_by_people else None
    advice = (
        ADVICE.get(prediction.gate.get("advice", ""), _RETAKE)
        if prediction.decision == Decision.UNGRADABLE and people is None
        else ""
    )
    return Words(
        decision=_decision(prediction) if people is None else _ICON.get(people.answer, ""),
        headline=_headline(prediction) if people is None else _headline_of(people),
        next=_next(prediction) if people is None else _next_of(people),
        basis="" if people is None else _BASES[people.basis],
        ai="" if people is None else _headline(prediction),
        sure=_sure(prediction),
        figure=_figure(prediction),
        advice=advice,
        reasons=[REASONS.get(reason, reason.replace("_", " ")) for reason in prediction.reasons],
    )


def confidence(prediction: Prediction) -> float | None:
    """The calibrated probability of the answered class, 0.5 to 1; None when no class was answered."""
    if prediction.probability is None or prediction.decision not in CLASSES:
        return None
    return prediction.probability if prediction.decision == Decision.CATARACT else 1 - prediction.probability


def model_used(prediction: Prediction) -> str:
    """Which models ran, in the order of the cascade; "none" when the gate refused the photo or none served."""
    return prediction.route if prediction.route not in ("", Route.GATE) else "none"


_ICON: dict[str, str] = {
    Answer.CATARACT: Decision.CATARACT,
    Answer.NORMAL: Decision.NORMAL,
    Answer.UNGRADABLE: Decision.UNGRADABLE,
}
_BASES: dict[str, str] = {
    FinalResult.Basis.SINGLE: "Read by one clinician, who did not see the AI's answer first.",
    FinalResult.Basis.DOUBLE: "Read by two clinicians who agree.",
    FinalResult.Basis.ADJUDICATED: "Two clinicians differed; a third one decided.",
}
_ANSWERS: dict[str, str] = {
    Answer.CATARACT: "cataract",
    Answer.NORMAL: "no sign of cataract",
    Answer.UNGRADABLE: "this photo cannot be judged",
    Answer.OTHER: "another eye problem",
    Answer.NOT_AN_EYE: "this photo does not show an eye",
}
_REFER = "Refer to an eye doctor for an examination."
_NO_REFERRAL = "No referral needed from this photo. If the patient has symptoms or poor vision, refer anyway."
_NEXT: dict[str, str] = {
    Answer.CATARACT: _REFER,
    Answer.NORMAL: _NO_REFERRAL,
    Answer.UNGRADABLE: "Take the photo again. If it cannot be improved, refer for an examination.",
    Answer.OTHER: _REFER,
    Answer.NOT_AN_EYE: "Check which photo was sent, and send a photo of the eye.",
}


def _headline_of(result: FinalResult) -> str:
    who = "Clinicians say" if result.basis != FinalResult.Basis.SINGLE else "A clinician says"
    if result.status == FinalResult.Status.PROVISIONAL:
        who = "The first clinician says"
    detail = f" ({result.get_detail_display().lower()})" if result.detail else ""
    return f"{who}: {_ANSWERS[result.answer]}{detail}."


def _next_of(result: FinalResult) -> str:
    if result.status == FinalResult.Status.PROVISIONAL:
        return "This answer is provisional: a second clinician reads the photo. Wait for that answer, or refer."
    return _NEXT[result.answer]


def _decision(prediction: Prediction) -> str:
    return "" if _is_unsure_normal(prediction) else prediction.decision


def _headline(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "The photo is stored. The answer is on its way."
    if not prediction.decision:
        return "No automatic answer. A clinician will review this photo."
    if prediction.decision == Decision.UNGRADABLE:
        return "This photo cannot be judged."
    if _is_unsure_normal(prediction):
        return "Needs a clinician."
    if prediction.decision == Decision.CATARACT:
        return "Possibly cataract." if _is_unsure(prediction) else "Probably cataract."
    return "No sign of cataract in this photo."


def _next(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "Nothing to do: this page updates when the answer arrives."
    if not prediction.decision:
        return "Nothing to do: it is in the review queue. If the patient has symptoms or poor vision, refer anyway."
    if prediction.decision == Decision.UNGRADABLE:
        return "Take the photo again. If it cannot be improved, refer for an examination."
    if _is_unsure(prediction):
        return "A clinician will review this photo. Wait for that answer, or refer for an examination."
    if prediction.decision == Decision.CATARACT:
        return _REFER
    return _NO_REFERRAL


def _is_unsure(prediction: Prediction) -> bool:
    """Whether a clinician must confirm the answer, for any reason other than the random check."""
    return prediction.needs_review and not is_random_check(prediction)


def _is_unsure_normal(prediction: Prediction) -> bool:
    return prediction.decision == Decision.NORMAL and _is_unsure(prediction)


def _sure(prediction: Prediction) -> str:
    value = confidence(prediction)
    if value is None:
        return ""
    if _is_unsure(prediction):  # a high probability that needs review is not a certainty
        return "Not sure"
    steps = ((0.98, "Very sure"), (0.9, "Sure"), (0.75, "Fairly sure"), (0.0, "Not sure"))
    return next(words for limit, words in steps if value >= limit)


def _figure(prediction: Prediction) -> str:
    if prediction.probability is None or confidence(prediction) is None:
        return ""
    return f"Calibrated probability of cataract: {_percent(prediction.probability)}"


def _percent(share: float) -> str:
    """A share in whole per cent, never rounded to 0 % or 100 %."""
    if share < 0.01:
        return "below 1 %"
    return "above 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
