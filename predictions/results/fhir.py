"""A prediction as FHIR R4: a collection Bundle of its report, observations, device, organisation and provenance.

HL7 FHIR 4.0.1, https://hl7.org/fhir/R4/diagnosticreport.html, observation.html and provenance.html; SNOMED CT codes
for finding and eye. The report says what counts in the end. Where clinicians answered, their Observation comes first
and the AI's own follows; what the AI asserted carries the security label AIAST of HL7's AI transparency guide.
"""

from datetime import datetime
from typing import Any
from uuid import uuid5

from django.conf import settings

from cataract.ml.labels import CLASSES, Decision
from predictions.answering.answers import Answer
from predictions.answering.models import FinalResult, Prediction
from predictions.photos.models import EyeImage
from predictions.results.wording import BASES, CHECKED_FOR, confidence, describe, headline_of, model_used

_SNOMED = "http://snomed.info/sct"
_CATARACT = ("193570009", "Cataract")
_PRESENT, _ABSENT = ("52101004", "Present"), ("2667000", "Absent")
_EYES = {EyeImage.Eye.OD: ("18944008", "Right eye structure"), EyeImage.Eye.OS: ("8966001", "Left eye structure")}
_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_BY_AI = {
    "security": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "AIAST",
            "display": "Artificial Intelligence asserted",
        }
    ]
}
_REPORT_STATUS = {
    Prediction.State.QUEUED: "registered",
    Prediction.State.WAITING: "preliminary",
    Prediction.State.PROVISIONAL: "preliminary",
    Prediction.State.FINAL: "final",
    Prediction.State.AMENDED: "amended",
    Prediction.State.REPLACED: "cancelled",  # the photo was taken again, and that result counts
}
# Why a clinician's answer says neither that there is a cataract nor that there is none.
_NO_VALUE: dict[str, tuple[str, str]] = {
    Answer.UNGRADABLE: ("error", "Error"),
    Answer.OTHER: ("unknown", "Unknown"),
    Answer.NOT_AN_EYE: ("not-applicable", "Not Applicable"),
}


def bundle(prediction: Prediction) -> dict[str, Any]:
    """The Bundle of one prediction, as plain JSON types."""
    result = prediction.final_result
    people = result if result is not None and result.is_by_people else None
    observations = {"finding": _of_people(prediction, people)} if people is not None else {}
    observations["ai"] = _of_ai(prediction, people)
    resources = {
        "report": _report(prediction, people, list(observations)),
        **observations,
        "device": _device(prediction),
        "site": {"resourceType": "Organization", "name": prediction.image.site.name},
    }
    if people is not None:
        resources["decided"] = _decided_by_people(prediction, people)
    if prediction.done_at is not None and prediction.decision:
        targets = ["ai"] if people is not None else ["report", "ai"]
        resources["computed"] = _computed(prediction, targets, prediction.done_at)
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _issued(prediction).isoformat(),
        "entry": [
            {"fullUrl": _address(prediction, part), "resource": resource} for part, resource in resources.items()
        ],
    }


def _report(prediction: Prediction, people: FinalResult | None, observations: list[str]) -> dict[str, Any]:
    words = describe(prediction)
    is_answered = bool(prediction.decision)
    report = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:cataract:prediction", "value": str(prediction.pk)}],
        "status": _status(prediction) if is_answered or people is not None else "registered",
        "code": {"text": "Cataract screening of an external eye photograph"},
        **_subject(prediction.image),
        **_times(prediction),
        "performer": [_reference(prediction, "site")],
        "result": [_reference(prediction, part) for part in observations],
        "conclusion": " ".join(
            part for part in (words.headline, words.basis, words.next, settings.INTENDED_USE) if part
        ),
    }
    return report | ({"meta": _BY_AI} if people is None and is_answered else {})


def _of_people(prediction: Prediction, result: FinalResult) -> dict[str, Any]:
    """What clinicians found in the photo: an observation of the site, never of a named reader."""
    return {
        "resourceType": "Observation",
        "status": _status(prediction),
        **_about(prediction, issued=result.at),
        "performer": [_reference(prediction, "site")],
        "method": {"text": BASES[result.basis]},
        **_value_of_people(result),
        "derivedFrom": [_photo(prediction.image), _reference(prediction, "ai")],
    }


def _value_of_people(result: FinalResult) -> dict[str, Any]:
    text = headline_of(result)
    if result.answer in CLASSES:
        answer = _PRESENT if result.answer == Answer.CATARACT else _ABSENT
        return {"valueCodeableConcept": {"coding": [_coding(answer)], "text": text}}
    code, display = _NO_VALUE[result.answer]
    absent = {"dataAbsentReason": _concept(_ABSENT_REASON, code, display, text)}
    if result.answer != Answer.OTHER:
        return absent
    found = {"text": result.get_detail_display() or result.get_answer_display()}
    return {
        **absent,
        "component": [{"code": {"text": "Other finding in the photograph"}, "valueCodeableConcept": found}],
    }


def _of_ai(prediction: Prediction, people: FinalResult | None) -> dict[str, Any]:
    """What the AI found, as it answered then."""
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "status": _ai_status(prediction, people),
        **_about(prediction, issued=prediction.done_at),
        "device": _reference(prediction, "device"),
        **_value_of_ai(prediction),
        "derivedFrom": [_photo(prediction.image)],
    }
    if prediction.decision:
        observation |= {"meta": _BY_AI, "method": {"text": f"Automatic analysis, {CHECKED_FOR}."}}
    if prediction.probability is not None and confidence(prediction) is not None:
        observation["component"] = [
            {
                "code": {"text": "Calibrated probability of cataract"},
                "valueQuantity": {
                    "value": round(prediction.probability, 6),
                    "unit": "probability",
                    "system": "http://unitsofmeasure.org",
                    "code": "1",
                },
            }
        ]
    if prediction.needs_review and people is None and prediction.state != Prediction.State.REPLACED:
        observation["note"] = [{"text": f"Clinician review pending. {' '.join(describe(prediction).reasons)}"}]
    return observation


def _ai_status(prediction: Prediction, people: FinalResult | None) -> str:
    """Preliminary until people or the AI alone gave the final result; a software's answer is never more than that."""
    if prediction.status == Prediction.Status.FAILED:
        return "cancelled"
    if people is not None and prediction.image.withdrawn_at is None:
        return "preliminary"
    return _status(prediction)


def _status(prediction: Prediction) -> str:
    """A photo that was sent by mistake has no valid result."""
    return "entered-in-error" if prediction.image.withdrawn_at else _REPORT_STATUS[prediction.state]


def _value_of_ai(prediction: Prediction) -> dict[str, Any]:
    """The finding, or why there is none: an ungradable photo is not a negative."""
    text = describe(prediction).ai or "No answer yet."
    if prediction.decision in CLASSES:
        answer = _PRESENT if prediction.decision == Decision.CATARACT else _ABSENT
        return {"valueCodeableConcept": {"coding": [_coding(answer)], "text": text}}
    code, display = ("error", "Error")
    if prediction.status == Prediction.Status.QUEUED:
        code, display = ("temp-unknown", "Temporarily Unknown")
    elif prediction.decision != Prediction.Decision.UNGRADABLE:
        code, display = ("not-performed", "Not Performed")
    return {"dataAbsentReason": _concept(_ABSENT_REASON, code, display, text)}


def _device(prediction: Prediction) -> dict[str, Any]:
    release = prediction.release_id or "none"
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "Cataract screening cascade", "type": "user-friendly-name"}],
        "version": [{"value": f"release {release}, models used: {model_used(prediction)}"}],
    }


def _decided_by_people(prediction: Prediction, result: FinalResult) -> dict[str, Any]:
    """Persons decided: how many and of which site, without names."""
    agent = {
        "type": _concept(_PARTICIPANT, "author", "Author", "Person"),
        "who": {"display": result.get_basis_display().capitalize()},
        "onBehalfOf": _reference(prediction, "site"),
    }
    provenance = {
        "resourceType": "Provenance",
        "target": [_reference(prediction, part) for part in ("report", "finding")],
        "recorded": result.at.isoformat(),
        "agent": [agent],
    }
    return provenance | ({"reason": [{"text": result.reason}]} if result.reason else {})


def _computed(prediction: Prediction, targets: list[str], at: datetime) -> dict[str, Any]:
    """Software decided: the release that answered."""
    return {
        "resourceType": "Provenance",
        "target": [_reference(prediction, part) for part in targets],
        "recorded": at.isoformat(),
        "agent": [
            {
                "type": _concept(_PARTICIPANT, "performer", "Performer", "Software"),
                "who": _reference(prediction, "device"),
            }
        ],
        "entity": [{"role": "source", "what": _photo(prediction.image)}],
    }


def _about(prediction: Prediction, *, issued: datetime | None) -> dict[str, Any]:
    """What both observations share: the question, the patient, the eye and the times."""
    about = {
        "code": {"coding": [_coding(_CATARACT)], "text": "Cataract in the photograph"},
        **_subject(prediction.image),
        "effectiveDateTime": _taken(prediction).isoformat(),
    }
    if issued is not None:
        about["issued"] = issued.isoformat()
    if prediction.image.eye:
        about["bodySite"] = {"coding": [_coding(_EYES[EyeImage.Eye(prediction.image.eye)])]}
    return about


def _photo(image: EyeImage) -> dict[str, Any]:
    return {"type": "Media", "identifier": {"system": "urn:cataract:image", "value": str(image.pk)}}


def _subject(image: EyeImage) -> dict[str, Any]:
    """The patient by pseudonym; left out when none was stated."""
    if not image.patient_key:
        return {}
    return {
        "subject": {"type": "Patient", "identifier": {"system": "urn:cataract:patient", "value": image.patient_key}}
    }


def _times(prediction: Prediction) -> dict[str, Any]:
    times = {"effectiveDateTime": _taken(prediction).isoformat()}
    is_issued = prediction.done_at is not None or prediction.final_result is not None
    return {**times, **({"issued": _issued(prediction).isoformat()} if is_issued else {})}


def _taken(prediction: Prediction) -> datetime:
    """When the photo was taken, as its file or its sender says; else when it was sent."""
    return prediction.image.captured_at or prediction.image.created_at


def _issued(prediction: Prediction) -> datetime:
    """When the present state of the result began."""
    result = prediction.final_result
    return result.at if result is not None else prediction.done_at or prediction.created_at


def _coding(pair: tuple[str, str]) -> dict[str, str]:
    return {"system": _SNOMED, "code": pair[0], "display": pair[1]}


def _concept(system: str, code: str, display: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": text}


def _reference(prediction: Prediction, part: str) -> dict[str, str]:
    return {"reference": _address(prediction, part)}


def _address(prediction: Prediction, part: str) -> str:
    """A stable address for a part of the bundle: one prediction always has the same references."""
    return f"urn:uuid:{uuid5(prediction.pk, part)}"
