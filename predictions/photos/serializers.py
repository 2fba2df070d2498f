"""What the serializers for one photo and for many share."""

from typing import Any

from rest_framework import serializers

from predictions.photos.facts import PhotoFacts
from predictions.photos.validators import PATIENT_KEY


class FactsSerializer(serializers.Serializer[Any]):
    """What is stated about photos: fields named as in PhotoFacts; the API calls `patient_key` `patient`."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse fields that do not exist: consent that was refused in a misspelled `may_train` would be lost."""
        if unknown := [name for name in data if name not in self.fields]:
            known = ", ".join(self.fields)
            raise serializers.ValidationError(dict.fromkeys(unknown, f"Unknown field. Known fields: {known}."))
        return super().to_internal_value(data)

    def validate_patient(self, value: str) -> str:
        if value:
            PATIENT_KEY(value)
        return value

    def facts(self) -> PhotoFacts:
        """What was stated; call it on a valid serializer."""
        return PhotoFacts.among(self.validated_data)
