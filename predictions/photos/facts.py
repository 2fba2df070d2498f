"""What the sender states about one photo, completed by what its file says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from cataract.core.errors import BadField

_DEVICE_LENGTH = 64
# EXIF writes 2024:03:05 14:07:09, DICOM (PS3.5, DT and DA) 20240305140709.5+0100 or 20240305.
_WRITTEN = re.compile(r"(\d{4})[:-]?(\d\d)[:-]?(\d\d)(?:[ T]?(\d\d):?(\d\d):?(\d\d)?)?(?:\.\d+)?([+-]\d{4})?")


@dataclass(frozen=True)
class PhotoFacts:
    """Stated about one photo; an empty value means not stated.

    patient_key: a pseudonym. eye: "OD" or "OS". site: its name. may_train: consent to train with the photo; None leaves
    it to the site. retake_of: the stored photo (EyeImage) that this one was taken to replace.
    """

    patient_key: str = ""
    eye: str = ""
    site: str = ""
    device: str = ""
    captured_at: datetime | None = None
    may_train: bool | None = None
    retake_of: UUID | None = None

    @classmethod
    def among(cls, stated: Mapping[str, Any]) -> "PhotoFacts":
        """The facts among the values of a form or serializer; those it has no field for are not stated."""
        return cls(**{field.name: stated[field.name] for field in fields(cls) if field.name in stated})

    def completed(self, in_file: Mapping[str, str]) -> "PhotoFacts":
        """These facts with the eye, device and time that the file's header names, where they were not stated.

        Raises BadField when the sender and the header name different eyes.
        """
        eye = in_file.get("eye", "")
        if self.eye and eye and self.eye != eye:
            message = f"The file says {eye}, you say {self.eye}. Check which eye it shows."
            raise BadField("eye", message, code="eye_mismatch")
        return replace(
            self,
            eye=self.eye or eye,
            device=self.device or device_in(in_file),
            captured_at=self.captured_at or taken_at(in_file),
        )


NOTHING_STATED = PhotoFacts()


def device_in(in_file: Mapping[str, str]) -> str:
    """Manufacturer and model that a file's header names, as one name; "" when it names none."""
    make, model = in_file.get("make", "").strip(), in_file.get("model", "").strip()
    name = model if model.lower().startswith(make.lower()) else f"{make} {model}"
    return " ".join(name.split())[:_DEVICE_LENGTH]


def taken_at(in_file: Mapping[str, str]) -> datetime | None:
    """The time at which the photo was taken, by its header; None for a clock that was never set or runs ahead."""
    found = _WRITTEN.fullmatch(in_file.get("captured_at", "").strip())
    if found is None:
        return None
    *numbers, zone = found.groups()
    try:
        moment = datetime(*(int(number or 0) for number in numbers))  # type: ignore[arg-type]
        aware = (
            moment.replace(tzinfo=datetime.strptime(zone, "%z").tzinfo) if zone else timezone.make_aware(moment)
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware if is_plausible_capture_time(aware) else None


def is_plausible_capture_time(moment: datetime) -> bool:
    """Whether a photo can have been taken then: after 1990, and not later than now anywhere on earth."""
    return moment.year >= 1990 and moment <= timezone.now() + timedelta(days=1)
