"""The live test as the admin shows it; the row itself belongs to `predictions.releases`."""

from predictions.releases.models import LiveTest


class LiveTestReview(LiveTest):
    """A LiveTest as the admin sees it, beside the releases."""

    class Meta:
        proxy = True
        verbose_name = "live test"
        verbose_name_plural = "live tests: shadow and A/B"
