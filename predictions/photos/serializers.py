"""What the serializers for one photo and for many share."""

from typing import Any

from rest_framework import serializers

from predictions.photos.facts import PhotoFacts
from predictions.photos.validators import PATIENT_KEY


class FactsSerializer(serializers.Serializer[Any]):
    """What is stated about photos: fields named as in PhotoFacts; the API calls `patient_key` `patient`."""

    def validate_patient(self, value: str) -> str:
        if value:
            PATIENT_KEY(value)
        return value

    def facts(self) -> PhotoFacts:
        """What was stated; call it on a valid serializer."""
        return PhotoFacts.among(self.validated_data)
