"""Forms of the page of encoders."""

from django import forms

from predictions.releases.models import Release


class EmbedForm(forms.Form):
    """Whose encoder embeds every stored photo."""

    prefix = "embed"
    release = forms.ModelChoiceField(
        Release.objects.exclude(status=Release.Status.REJECTED), label="With the encoder of"
    )


class EncoderForm(forms.Form):
    """Which image tower, with which weights."""

    prefix = "encoder"
    architecture = forms.CharField(
        label="Architecture", max_length=100, initial="ViT-B-32", help_text="Of open_clip, or timm/NAME of timm."
    )
    weights = forms.CharField(
        label="Published weights", max_length=100, initial="laion2b_s34b_b79k", help_text="A tag of open_clip or timm."
    )
    image_size = forms.IntegerField(
        label="Side of the input in pixels", min_value=32, max_value=1024, required=False,
        help_text="Only for transformers of timm; empty for the published size.",
    )  # fmt: skip
