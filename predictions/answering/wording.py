"""What a prediction says, in words: one place for pages, API and command line."""

from dataclasses import dataclass

from predictions.answering.models import Prediction

ADVICE = {
    "too_dark": "The photo is too dark. Turn on the light or the flash and take it again.",
    "too_bright": "The photo is too bright. Move the light aside and take it again.",
    "blurred": "The photo is blurred. Hold still, tap on the pupil to focus, and take it again.",
    "blank": "There is nothing to see in the photo. Uncover the lens and take it again.",
    "no_eye_found": "No eye was found. Fill the frame with the open eye, straight from the front, and take it again.",
}
_RETAKE = "Take the photo again: eye wide open, in good light, in focus, straight from the front."

REASONS = {
    "uncertain": "The answer is not sure enough to stand alone.",
    "disagreement": "The two models do not agree.",
    "out_of_distribution": "The photo is unlike those that the models know.",
    "ungradable": "The photo cannot be judged.",
    "quality": "The photo's quality is low.",
    "invalid_score": "The models gave no usable number.",
    "audit_sample": "Picked at random: a share of all sure answers is checked.",
    "no_champion": "No model is serving at the moment.",
    "failed": "The program failed on this photo.",
}


@dataclass(frozen=True)
class Words:
    """The sentences of one result. `sure` and `figure` are empty where no model judged the photo."""

    headline: str
    next: str
    sure: str
    figure: str
    advice: str
    reasons: list[str]


def describe(prediction: Prediction) -> Words:
    """The result of `prediction` for a person."""
    advice = ADVICE.get(prediction.gate.get("advice", ""), _RETAKE) if prediction.decision == "ungradable" else ""
    return Words(
        headline=_headline(prediction),
        next=_next(prediction),
        sure=_sure(prediction),
        figure=_figure(prediction),
        advice=advice,
        reasons=[REASONS.get(reason, reason.replace("_", " ")) for reason in prediction.reasons],
    )


def confidence(prediction: Prediction) -> float | None:
    """The calibrated probability of the class that was answered, 0.5 to 1; None when no class was answered."""
    if prediction.probability is None or prediction.decision not in ("cataract", "normal"):
        return None
    return prediction.probability if prediction.decision == "cataract" else 1 - prediction.probability


def model_used(prediction: Prediction) -> str:
    """Which models were asked, in the order of the cascade; "none" when the gate or nobody answered."""
    return prediction.route if prediction.route not in ("", "gate") else "none"


def _headline(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "The photo is stored. Its answer is on the way."
    if not prediction.decision:
        return "No automatic answer. A person will look at this photo."
    if prediction.decision == "ungradable":
        return "This photo cannot be judged."
    unsure = _is_unsure(prediction)
    if prediction.decision == "cataract":
        return "Possibly cataract." if unsure else "Probably cataract."
    return "Perhaps no cataract, but not sure." if unsure else "No sign of cataract in this photo."


def _next(prediction: Prediction) -> str:
    if prediction.status == Prediction.Status.QUEUED:
        return "Nothing to do: this page shows the answer as soon as it is there."
    if not prediction.decision:
        return "Nothing to do: it is in the review queue. Do not wait for it when there are complaints."
    if prediction.decision == "ungradable":
        return "Take the photo again. If it does not get better, refer for an examination."
    if _is_unsure(prediction):
        return "A clinician looks at this photo. Wait for that answer, or refer for an examination."
    if prediction.decision == "cataract":
        return "Refer to an eye doctor for an examination."
    return "No referral from this photo. With complaints or poor sight: refer all the same."


def _is_unsure(prediction: Prediction) -> bool:
    """Whether a person has to look before the answer stands: for any reason but the random check."""
    return prediction.needs_review and prediction.reasons != ["audit_sample"]


def _sure(prediction: Prediction) -> str:
    value = confidence(prediction)
    if value is None:
        return ""
    if _is_unsure(prediction):  # a high number of a model that needs a person is no certainty
        return "Not sure"
    steps = ((0.98, "Very sure"), (0.9, "Sure"), (0.75, "Fairly sure"), (0.0, "Not sure"))
    return next(words for limit, words in steps if value >= limit)


def _figure(prediction: Prediction) -> str:
    if prediction.probability is None or confidence(prediction) is None:
        return ""
    return f"Calibrated probability of cataract: {_percent(prediction.probability)}"


def _percent(share: float) -> str:
    """A share as whole per cent, never rounded to a certainty that nobody has."""
    if share < 0.01:
        return "below 1 %"
    return "above 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
