"""The form that switches the e-mail digest on or off."""

from django import forms


class DigestForm(forms.Form):
    wants_digest = forms.BooleanField(label="Send me one e-mail a day about new answers", required=False)
