"""The form that changes a consent."""

from django import forms


class ConsentForm(forms.Form):
    may_train = forms.TypedChoiceField(
        label="May the models learn from it?",
        choices=[("yes", "Yes"), ("no", "No")],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose yes or no."},
    )
    reason = forms.CharField(
        label="Why?",
        max_length=500,
        help_text="Kept on record with your name. No patient names.",
        error_messages={"required": "Say why."},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
