"""Letters about one patient as documents: the result for the patient, and the referral to an eye doctor.

A letter says what counts in the end, never what only the AI thinks while a clinician is still to read the photo, and
never a reader's name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.text import capfirst

from cataract.core.documents.document import Block, Document, Paragraph, Photos, Section, Signature, Table
from predictions.answering.answers import Answer
from predictions.answering.models import FinalResult, Prediction
from predictions.patients.findings import Finding, finding_of, taken_at
from predictions.patients.overview import EyeOverview, Overview
from predictions.photos.derivatives import derivative_of
from predictions.photos.models import EyeImage
from predictions.results.wording import scope_of

_EARLIER = 10  # earlier results in a referral

_DECIDED: dict[str, str] = {
    FinalResult.Basis.AI: "the AI alone",
    FinalResult.Basis.SINGLE: "a clinician",
    FinalResult.Basis.DOUBLE: "two clinicians",
    FinalResult.Basis.ADJUDICATED: "clinicians; two differed, a third one decided",
}
_SEE_DOCTOR = "Please see an eye doctor for an examination."
_AGAIN = "Please have the photo taken again. If that does not help, see an eye doctor."
_FOR_PATIENT: dict[str, tuple[str, str]] = {
    Answer.CATARACT: ("The photo shows signs of a cataract: the lens of the eye is cloudy.", _SEE_DOCTOR),
    Answer.NORMAL: (
        "The photo shows no sign of a cataract.",
        "If you have symptoms or see poorly, see an eye doctor anyway.",
    ),
    Answer.OTHER: ("The photo shows another problem of the eye.", _SEE_DOCTOR),
    Answer.UNGRADABLE: ("The photo could not be judged.", _AGAIN),
    Answer.NOT_AN_EYE: ("The photo does not show an eye.", _AGAIN),
}
_CHECKED_FOR = "It was checked for cataract only, not for other eye diseases."
_FOR_DOCTOR: dict[str, str] = {
    Answer.CATARACT: "Signs of cataract",
    Answer.NORMAL: "No sign of cataract",
    Answer.OTHER: "Other pathology",
    Answer.UNGRADABLE: "Photo cannot be judged",
    Answer.NOT_AN_EYE: "Photo does not show an eye",
}
_REASONS: dict[Finding, str] = {
    Finding.CATARACT: "shows signs of cataract",
    Finding.OTHER: "shows another pathology",
    Finding.UNGRADABLE: "could not be judged",
}


@dataclass(frozen=True)
class Letter:
    """One kind of letter. `write(overview, at)` makes its document; `at` is the time of output."""

    name: str
    write: Callable[[Overview, datetime], Document]


def result_for_patient(overview: Overview, at: datetime) -> Document:
    """The result in the patient's own words."""
    eyes = [Section(capfirst(eye.name), _patient_blocks(eye)) for eye in _stated(overview)]
    return Document(
        title="Result of the eye screening",
        subtitle=_about(overview, at),
        letterhead=_letterhead(overview),
        sections=[*eyes, *_photos(overview), _closing(overview, at, "Signature")],
    )


def referral(overview: Overview, at: datetime) -> Document:
    """The letter to the eye doctor: why, both eyes in one table, earlier results."""
    rows = [_doctor_row(eye) for eye in overview.eyes]
    table = Table("", ["Eye", "Result", "Decided by", "Status", "Photo taken", "Release"], rows)
    findings = Section("Findings", [table, *_earlier(overview)])
    return Document(
        title="Referral to an eye doctor",
        subtitle=_about(overview, at),
        letterhead=_letterhead(overview),
        sections=[
            Section("Reason", [Paragraph(text) for text in _reason(overview)]),
            findings,
            *_photos(overview),
            _closing(overview, at, "Signature of the referring clinic"),
        ],
    )


LETTERS: Mapping[str, Letter] = {
    "result": Letter("Result for the patient", result_for_patient),
    "referral": Letter("Referral letter", referral),
}


def letter_photo(image: EyeImage) -> bytes | None:
    """The small JPEG of a photo for a letter; None when its file is missing."""
    try:
        return derivative_of(image, "thumb")
    except FileNotFoundError:
        return None


def _letterhead(overview: Overview) -> str:
    return overview.patient.site.letterhead.strip() or overview.patient.site.name


def _about(overview: Overview, at: datetime) -> str:
    return f"Patient {overview.patient.key}. Date: {at:%Y-%m-%d}."


def _stated(overview: Overview) -> list[EyeOverview]:
    return [eye for eye in overview.eyes if eye.eye]


# Patient --------------------------------------------------------------------------------------------------------------
def _patient_blocks(eye: EyeOverview) -> Sequence[Block]:
    if eye.counting is None:
        return [Paragraph("No photo of this eye was taken.")]
    result = eye.counting.final_result
    if result is None:
        waiting = [f"{_waiting(eye.counting)} Please ask for the result later.", *_unjudged(eye)]
        return [Paragraph(text) for text in [*waiting, f"Photo taken {_date(eye.counting)}."]]
    says, advice = _FOR_PATIENT[result.answer]
    if eye.refer_unjudged:
        advice = f"This is not the first photo that could not be judged. {_SEE_DOCTOR}"
    if result.detail and result.answer == Answer.OTHER:
        says = f"{says[:-1]}: {result.get_detail_display().lower()}."
    if scope_of(eye.counting):
        says = f"{says} {_CHECKED_FOR}"
    facts = f"Photo taken {_date(eye.counting)}. Decided by {_DECIDED[result.basis]}."
    return [Paragraph(text) for text in (f"{says} {advice}", *_provisional(result), facts)]


def _waiting(prediction: Prediction) -> str:
    if prediction.state == Prediction.State.QUEUED:
        return "There is no result yet: the newest photo of this eye is being analysed."
    return "There is no result yet: a clinician still has to look at the newest photo of this eye."


def _unjudged(eye: EyeOverview) -> list[str]:
    """What to do about a waiting photo that the AI could not judge."""
    if eye.refer_unjudged:
        return [f"Two photos of this eye could not be judged so far. {_SEE_DOCTOR}"]
    return ["It may be hard to judge. Please have the photo taken again."] if eye.finding == Finding.UNGRADABLE else []


def _provisional(result: FinalResult) -> list[str]:
    if result.status != FinalResult.Status.PROVISIONAL:
        return []
    who = "A clinician" if result.basis == FinalResult.Basis.AI else "A second clinician"
    return [f"This answer is provisional. {who} still checks it; it can change."]


# Doctor ---------------------------------------------------------------------------------------------------------------
def _doctor_row(eye: EyeOverview) -> list[str]:
    name = capfirst(eye.name)
    if eye.counting is None:
        return [name, "No photo", "-", "-", "-", "-"]
    says, who, status = _said(eye.counting)
    if eye.refer_unjudged:
        says = f"{says}; {eye.unjudged} in a row"
    return [name, says, who, status, _date(eye.counting), eye.counting.release_id or "-"]


def _said(prediction: Prediction) -> tuple[str, str, str]:
    """Result, who decided, and status of one photo, in words."""
    result = prediction.final_result
    if prediction.state == Prediction.State.REPLACED:
        return "Photo cannot be judged", "-", "replaced by a better photo"
    if result is None:
        unjudged = finding_of(prediction) == Finding.UNGRADABLE
        return "The AI cannot judge this photo" if unjudged else "No result yet", "-", "waiting for a clinician"
    detail = f": {result.get_detail_display().lower()}" if result.detail else ""
    reason = f": {result.reason}" if result.status == FinalResult.Status.AMENDED and result.reason else ""
    scope = scope_of(prediction)
    detail = f" ({scope})" if scope else detail
    return f"{_FOR_DOCTOR[result.answer]}{detail}", _DECIDED[result.basis], f"{result.status}{reason}"


def _reason(overview: Overview) -> list[str]:
    found = [eye for eye in overview.eyes if eye.finding in _REASONS]
    found.sort(key=lambda eye: 0 if eye.finding is None else eye.finding.rank)
    reasons = [f"The photo of the {_eye_words(eye)} {_REASONS[eye.finding]}." for eye in found if eye.finding]
    reasons += [
        f"The newest photo of the {_eye_words(eye)} has no result yet: it is waiting for a clinician."
        for eye in overview.eyes
        if eye.finding == Finding.WAITING
    ]
    if not found:
        reasons.append("No photo calls for a referral by itself. Symptoms or poor vision:")
        reasons.append("_" * 60)
    return [*reasons, "Please examine both eyes."]


def _eye_words(eye: EyeOverview) -> str:
    return eye.name if eye.eye else "eye that was not stated"


def _earlier(overview: Overview) -> list[Block]:
    counting = {each.pk for each in overview.counting}
    earlier = [each for visit in overview.visits for each in visit.photos if each.pk not in counting][:_EARLIER]
    if not earlier:
        return []
    rows = [[_date(each), capfirst(each.image.get_eye_display()), *_said(each)] for each in earlier]
    return [Table("Earlier photos", ["Photo taken", "Eye", "Result", "Decided by", "Status"], rows)]


# Both -----------------------------------------------------------------------------------------------------------------
def _photos(overview: Overview) -> list[Section]:
    photos = [(str(each.image_id), f"{each.image.get_eye_display()}, {_date(each)}") for each in overview.counting]
    return [Section("Photos", [Photos([(image, capfirst(words)) for image, words in photos])])] if photos else []


def _closing(overview: Overview, at: datetime, signature: str) -> Section:
    releases = sorted({each.release_id for each in overview.counting if each.release_id})
    written = f"Written {at:%Y-%m-%d %H:%M %Z}. Release of the AI: {', '.join(releases) or 'none'}."
    return Section("About this result", [Paragraph(settings.INTENDED_USE), Paragraph(written), Signature(signature)])


def _date(prediction: Prediction) -> str:
    return f"{timezone.localtime(taken_at(prediction.image)):%Y-%m-%d}"
