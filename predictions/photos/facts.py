"""What the sender states about one photo."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from cataract.core.errors import BadField


@dataclass(frozen=True)
class PhotoFacts:
    """Stated about one photo; an empty value means not stated.

    patient_key: a pseudonym. eye: "OD" or "OS". may_train: consent to train with the photo.
    """

    patient_key: str = ""
    eye: str = ""
    site: str = ""
    device: str = ""
    captured_at: datetime | None = None
    may_train: bool = True

    @classmethod
    def among(cls, stated: Mapping[str, Any]) -> "PhotoFacts":
        """The facts among the values of a form or serializer; those it has no field for are not stated."""
        return cls(**{field.name: stated[field.name] for field in fields(cls) if field.name in stated})

    def with_eye(self, in_file: str) -> "PhotoFacts":
        """These facts with the eye that the file's header names ("OD", "OS" or ""), where none was stated.

        Raises BadField when the statement and the header differ.
        """
        if self.eye and in_file and self.eye != in_file:
            message = f"The file says {in_file}, you say {self.eye}. Check which eye it shows."
            raise BadField("eye", message, code="eye_mismatch")
        return replace(self, eye=self.eye or in_file)


NOTHING_STATED = PhotoFacts()
