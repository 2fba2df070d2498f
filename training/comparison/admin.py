"""What the admin pages about releases share."""

from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse


def refuse_unless_promoting(request: HttpRequest) -> None:
    """Raises PermissionDenied for whoever may not promote releases."""
    if not request.user.has_perm("predictions.promote_release"):
        raise PermissionDenied


def release_url(release_id: str) -> str:
    """The page of a release."""
    return reverse("admin:training_releasereview_change", args=[quote(release_id)])
