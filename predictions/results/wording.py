"""The sentences of a result, for pages and API."""

from dataclasses import dataclass

from cataract.ml.labels import CLASSES, Advice, Decision, Reason, Route, is_sure
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
CHECKED_FOR = "checked for cataract only"
_RETAKE = "Take the photo again: eye wide open, in good light, in focus, straight from the front."

REASONS: dict[str, str] = {
    Reason.UNCERTAIN: "The AI is not sure enough to decide alone.",
    Reason.DISAGREEMENT: "The two models disagree.",
    Reason.OUT_OF_DISTRIBUTION: "This photo looks different from the photos the AI was trained on.",
    Reason.UNGRADABLE: "The photo cannot be judged.",
    Reason.QUALITY: "The image quality is low.",
    Reason.OTHER_FINDING: (
        "Something other than a cataract may be visible. A clinician looks at it; the AI checks for cataract only."
    ),
    Reason.NO_COLOUR: (
        "The photo has no colour: it is black and white or near infrared. The AI was trained on colour photos."
    ),
    Reason.INVALID_SCORE: "The models returned no usable score.",
    Reason.ALWAYS_READ: "Chosen at random before the AI answered: the photos of some patients are always read.",
    Reason.AUDIT_SAMPLE: "Chosen at random: a share of all confident answers is checked.",
    Reason.NOT_ACCEPTED: "The AI advises and a clinician decides: such answers are not accepted at this site yet.",
    Reason.NO_CHAMPION: "No AI model is in service at the moment.",
    Reason.AI_OFF: "People only: the AI is switched off.",
    Reason.FAILED: "The analysis of this photo failed.",
}


@dataclass(frozen=True)
class Words:
    """The sentences of one result.

    `decision` is the one to show: the final result's where people answered ("warning" for another eye problem), empty
    where a clinician is needed. `short` is the headline for lists; `scope` belongs beside it and says what an automatic
    "normal" was checked for. `basis` says who decided and `ai` what the AI answered; `basis` is empty while nobody has
    decided. `figure` is empty where the AI was unsure: a high probability that needs a clinician is
    no certainty. `reasons` say why a clinician reads the photo; empty once one has.
    """

    decision: str
    headline: str
    short: str
    scope: str
    next: str
    basis: str
    ai: str
    figure: str
    advice: str
    reasons: list[str]


def describe(prediction: Prediction) -> Words:
    """The sentences for `prediction`: people's answer first, where there is one."""
    if prediction.state == Prediction.State.REPLACED:
        return _replaced(prediction)
    result = prediction.final_result
    people = result if result is not None and result.is_by_people else None
    advice = (
        ADVICE.get(prediction.gate.get("advice", ""), _RETAKE)
        if prediction.decision == Decision.UNGRADABLE and people is None
        else ""
    )
    return Words(
        decision=_decision(prediction) if people is None else icon_of(people),
        headline=_headline(prediction) if people is None else headline_of(people),
        short=_short(prediction) if people is None else short_of(people),
        scope=scope_of(prediction),
        next=_next(prediction) if people is None else _next_of(people),
        basis="" if result is None else BASES[result.basis],
        ai=_ai(prediction),
        figure=_figure(prediction),
        advice=advice,
        reasons=[REASONS.get(reason, reason.replace("_", " ")) for reason in prediction.reasons] if not people else [],
    )


def _replaced(prediction: Prediction) -> Words:
    return Words(
        decision="",
        headline="Replaced by a better photo.",
        short="Replaced",
        scope="",
        next="Nothing to do here: the photo was taken again, and the answer on the new one counts.",
        basis="",
        ai=_ai(prediction),
        figure="",
        advice="",
        reasons=[],
    )


def scope_of(prediction: Prediction) -> str:
    """What an automatic "normal" was checked for; empty for every other answer, and where people answered."""
    is_by_people = prediction.final_result is not None and prediction.final_result.is_by_people
    return CHECKED_FOR if _decision(prediction) == Decision.NORMAL and not is_by_people else ""


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
    Answer.OTHER: "warning",
    Answer.NOT_AN_EYE: Decision.UNGRADABLE,
}
BASES: dict[str, str] = {
    FinalResult.Basis.AI: "Answered by the AI alone.",
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
_SHORT: dict[str, str] = {
    Answer.CATARACT: "Cataract",
    Answer.NORMAL: "No sign of cataract",
    Answer.UNGRADABLE: "Cannot judge",
    Answer.OTHER: "Another eye problem",
    Answer.NOT_AN_EYE: "Not an eye",
}
_SHORT_OF_AI: dict[str, str] = {
    Decision.CATARACT: "Probably cataract",
    Decision.NORMAL: "No sign of cataract",
    Decision.UNGRADABLE: "Cannot judge",
}
_REFER = "Refer to an eye doctor for an examination."
_NO_REFERRAL = (
    "No referral needed for cataract from this photo. If the patient has symptoms or poor vision, refer anyway."
)
_WAIT_OR_REFER = "A clinician will review this photo. Wait for that answer, or refer for an examination."
_NEXT: dict[str, str] = {
    Answer.CATARACT: _REFER,
    Answer.NORMAL: _NO_REFERRAL,
    Answer.UNGRADABLE: "Take the photo again. If it cannot be improved, refer for an examination.",
    Answer.OTHER: _REFER,
    Answer.NOT_AN_EYE: "Check which photo was sent, and send a photo of the eye.",
}


def icon_of(result: FinalResult) -> str:
    """The decision whose icon and colour a final result has; "warning" for another eye problem."""
    return _ICON[result.answer]


def short_of(result: FinalResult) -> str:
    """A final result in a few words, for lists and histories: "Another eye problem (pterygium)"."""
    detail = f" ({result.get_detail_display().lower()})" if result.detail else ""
    return f"{_SHORT[result.answer]}{detail}"


def headline_of(result: FinalResult) -> str:
    """The headline of an answer that people gave."""
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
    return "" if _is_unsure(prediction) and prediction.decision in CLASSES else prediction.decision


def _headline(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "The photo is stored. The answer is on its way."
    if Reason.AI_OFF in prediction.reasons:
        return "People only: the AI is switched off. A clinician will review this photo."
    if not prediction.decision:
        return "No automatic answer. A clinician will review this photo."
    if prediction.decision == Decision.UNGRADABLE:
        return "This photo cannot be judged."
    if _is_unsure(prediction):
        return "Needs a clinician."
    if prediction.decision == Decision.CATARACT:
        return "Probably cataract."
    return f"No sign of cataract in this photo. {CHECKED_FOR.capitalize()}."


def _short(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "No answer yet"
    if not prediction.decision:
        return "No automatic answer"
    if _is_unsure(prediction) and prediction.decision in CLASSES:
        return "No answer yet"
    return _SHORT_OF_AI[prediction.decision]


def _ai(prediction: Prediction) -> str:
    """What the AI answered, in one sentence that never changes."""
    if prediction.status == Prediction.Status.QUEUED:
        return ""
    if Reason.AI_OFF in prediction.reasons:
        return "The AI was switched off."
    if not prediction.decision:
        return "The AI gave no answer."
    if Reason.OTHER_FINDING in prediction.reasons and prediction.decision in CLASSES:
        cataract = "Possibly cataract" if prediction.decision == Decision.CATARACT else "No sign of cataract"
        return f"{cataract}, but something else may be visible."
    if prediction.decision == Decision.UNGRADABLE:
        return "This photo cannot be judged."
    sure = is_sure(prediction.needs_review, prediction.reasons)
    if prediction.decision == Decision.CATARACT:
        return "Probably cataract." if sure else "Possibly cataract, but not sure."
    return "No sign of cataract in this photo." if sure else "No sign of cataract, but not sure."


def _next(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "Nothing to do: this page updates when the answer arrives."
    if not prediction.decision:
        return "Wait for that answer. If the patient has symptoms or poor vision, refer anyway."
    if prediction.decision == Decision.UNGRADABLE:
        return "Take the photo again. If it cannot be improved, refer for an examination."
    if Reason.OTHER_FINDING in prediction.reasons:
        return f"{_WAIT_OR_REFER} If the eye is red or painful, or sees worse than before, refer today."
    if _is_unsure(prediction):
        return _WAIT_OR_REFER
    if prediction.decision == Decision.CATARACT:
        return _REFER
    return _NO_REFERRAL


def _is_unsure(prediction: Prediction) -> bool:
    """Whether a clinician must decide, for any reason other than the random check: also where a sure answer advises."""
    return prediction.needs_review and not is_random_check(prediction)


def _figure(prediction: Prediction) -> str:
    if (
        prediction.probability is None
        or confidence(prediction) is None
        or not is_sure(prediction.needs_review, prediction.reasons)
    ):
        return ""
    return f"Calibrated probability of cataract: {_percent(prediction.probability)}"


def _percent(share: float) -> str:
    """A share in whole per cent, never rounded to 0 % or 100 %."""
    if share < 0.01:
        return "below 1 %"
    return "above 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
