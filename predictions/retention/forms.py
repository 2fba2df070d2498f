"""Forms of deletions and legal holds."""

from django import forms


class DeleteForm(forms.Form):
    reason = forms.CharField(
        label="Why?",
        max_length=500,
        help_text="Kept on record with your name, also after the purge. No patient names.",
        error_messages={"required": "Say why."},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
