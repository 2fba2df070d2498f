"""The forms that correct, withdraw and restore a photo, and the one that answers whose photo it is."""

from typing import Any

from django import forms

from predictions.corrections.models import REASON_LENGTH, Correction
from predictions.photos.forms import EYES, PatientKeyField
from predictions.photos.models import EyeImage, WrongPatientCheck


class ReasonForm(forms.Form):
    """Why; required by every correction."""

    reason = forms.CharField(
        label="Reason",
        max_length=REASON_LENGTH,
        error_messages={"required": "Say why, in a few words."},
        help_text="It stays on record. Never write a name.",
    )


class CorrectionForm(ReasonForm):
    """Which eye and whose photo it really is."""

    patient_key = PatientKeyField(error_messages={"required": "Enter the patient's pseudonym."})
    eye = forms.ChoiceField(
        label="Which eye?",
        choices=EYES,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose which eye it is."},
    )

    def __init__(self, data: Any, *, image: EyeImage, auto_id: str) -> None:
        super().__init__(data, initial={"patient_key": image.patient_key, "eye": image.eye}, auto_id=auto_id)


class WithdrawalForm(ReasonForm):
    """Why the photo should not be here at all."""

    kind = forms.ChoiceField(
        label="What is wrong?",
        choices=[
            (Correction.Kind.WRONG_PHOTO, "Sent by mistake"),
            (Correction.Kind.DUPLICATE, "Duplicate of another patient's photo"),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what is wrong."},
    )


class CheckForm(ReasonForm):
    """Whose the two photos of a check are: `image`, `twin` (both are of that photo's patient) or `keep`."""

    KEEP = "keep"

    answer = forms.ChoiceField(
        label="Whose photos are these?",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose an answer."},
    )

    def __init__(self, data: Any = None, *, check: WrongPatientCheck) -> None:
        super().__init__(data, auto_id=f"id_{check.pk}_%s")
        self._photos = {"twin": check.twin, "image": check.image}
        same = [(name, f"Both of {photo.patient_key}") for name, photo in self._photos.items()]
        choices = [*same, (self.KEEP, "Two patients")]
        answer = self.fields["answer"]
        assert isinstance(answer, forms.ChoiceField)
        answer.choices = choices if check.image.site_id == check.twin.site_id else choices[-1:]

    @property
    def belongs_to(self) -> EyeImage | None:
        """The photo whose patient both have; None for two patients. Call it on a valid form."""
        return self._photos.get(self.cleaned_data["answer"])
