"""A prediction as FHIR R4: a collection Bundle of a DiagnosticReport, its Observation and the Device that made it.

HL7 FHIR 4.0.1, https://hl7.org/fhir/R4/diagnosticreport.html and observation.html; SNOMED CT codes for finding and
eye. An automated report is `preliminary`: no clinician has confirmed it.
"""

from typing import Any
from uuid import uuid5

from django.conf import settings

from cataract.ml.labels import CLASSES, Decision
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.results.wording import describe, model_used

_SNOMED = "http://snomed.info/sct"
_CATARACT = ("193570009", "Cataract")
_PRESENT, _ABSENT = ("52101004", "Present"), ("2667000", "Absent")
_EYES = {EyeImage.Eye.OD: ("18944008", "Right eye structure"), EyeImage.Eye.OS: ("8966001", "Left eye structure")}
_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_STATUS = {
    Prediction.Status.QUEUED: ("registered", "registered"),
    Prediction.Status.DONE: ("preliminary", "preliminary"),
    Prediction.Status.FAILED: ("cancelled", "cancelled"),
}


def bundle(prediction: Prediction) -> dict[str, Any]:
    """The Bundle of one prediction, as plain JSON types."""
    report, observation, device = (f"urn:uuid:{_related(prediction, part)}" for part in ("report", "finding", "device"))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": (prediction.done_at or prediction.created_at).isoformat(),
        "entry": [
            {"fullUrl": report, "resource": _report(prediction, observation)},
            {"fullUrl": observation, "resource": _observation(prediction, device)},
            {"fullUrl": device, "resource": _device(prediction)},
        ],
    }


def _report(prediction: Prediction, observation: str) -> dict[str, Any]:
    words = describe(prediction)
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:cataract:prediction", "value": str(prediction.pk)}],
        "status": _STATUS[Prediction.Status(prediction.status)][0],
        "code": {"text": "Automated cataract screening of an external eye photograph"},
        **_subject(prediction.image),
        **_times(prediction),
        "result": [{"reference": observation}],
        "conclusion": f"{words.headline} {words.next} {settings.INTENDED_USE}",
    }


def _observation(prediction: Prediction, device: str) -> dict[str, Any]:
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "status": _STATUS[Prediction.Status(prediction.status)][1],
        "code": {"coding": [_coding(_CATARACT)], "text": "Cataract in the photograph"},
        **_subject(prediction.image),
        **_times(prediction),
        "device": {"reference": device},
        **_value(prediction),
    }
    if prediction.image.eye:
        observation["bodySite"] = {"coding": [_coding(_EYES[EyeImage.Eye(prediction.image.eye)])]}
    if prediction.probability is not None and prediction.decision in CLASSES:
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
    if prediction.needs_review:
        observation["note"] = [{"text": f"Clinician review pending. {' '.join(describe(prediction).reasons)}"}]
    return observation


def _value(prediction: Prediction) -> dict[str, Any]:
    """The finding, or why there is none: an ungradable photo is not a negative."""
    if prediction.decision in CLASSES:
        answer = _PRESENT if prediction.decision == Decision.CATARACT else _ABSENT
        return {"valueCodeableConcept": {"coding": [_coding(answer)], "text": describe(prediction).headline}}
    code, display = ("error", "Error")
    if prediction.status == Prediction.Status.QUEUED:
        code, display = ("temp-unknown", "Temporarily Unknown")
    elif prediction.decision != Prediction.Decision.UNGRADABLE:
        code, display = ("not-performed", "Not Performed")
    coding = {"system": _ABSENT_REASON, "code": code, "display": display}
    return {"dataAbsentReason": {"coding": [coding], "text": describe(prediction).headline}}


def _device(prediction: Prediction) -> dict[str, Any]:
    release = prediction.release_id or "none"
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "Cataract screening cascade", "type": "user-friendly-name"}],
        "version": [{"value": f"release {release}, models used: {model_used(prediction)}"}],
    }


def _subject(image: EyeImage) -> dict[str, Any]:
    """The patient by pseudonym; left out when none was stated."""
    if not image.patient_key:
        return {}
    return {
        "subject": {"type": "Patient", "identifier": {"system": "urn:cataract:patient", "value": image.patient_key}}
    }


def _times(prediction: Prediction) -> dict[str, Any]:
    taken = prediction.image.captured_at or prediction.image.created_at
    times = {"effectiveDateTime": taken.isoformat()}
    return {**times, **({"issued": prediction.done_at.isoformat()} if prediction.done_at else {})}


def _coding(pair: tuple[str, str]) -> dict[str, str]:
    return {"system": _SNOMED, "code": pair[0], "display": pair[1]}


def _related(prediction: Prediction, part: str) -> str:
    """A stable id for a part of the bundle: one prediction always has the same references."""
    return str(uuid5(prediction.pk, part))
