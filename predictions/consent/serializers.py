"""Serializers of consent."""

from rest_framework import serializers


class ConsentSerializer(serializers.Serializer[object]):
    """A change of consent."""

    may_train = serializers.BooleanField(help_text="Whether the models may learn from the photo or photos.")
    reason = serializers.CharField(max_length=500, help_text="Kept on record. No patient names.")


class ConsentStateSerializer(serializers.Serializer[object]):
    """The consent as it is now."""

    may_train = serializers.BooleanField(help_text="For a patient: whether new photos may train.")
    photos = serializers.IntegerField(help_text="How many stored photos the models may learn from.")
