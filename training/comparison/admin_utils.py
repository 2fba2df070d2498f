"""What several admin pages about releases share."""

from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse


def require_promote_permission(request: HttpRequest) -> None:
    """Raises PermissionDenied when the user may not promote releases."""
    if not request.user.has_perm("predictions.promote_release"):
        raise PermissionDenied


def release_admin_url(release_id: str) -> str:
    """The admin page of a release."""
    return reverse("admin:training_releasereview_change", args=[quote(release_id)])
