"""The frame of every page for its templates: places, news, and who is signed in."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.functional import cached_property

from cataract.frame.navigation import Place, places_of
from cataract.ops.notices.models import Notice
from predictions.news.models import News
from predictions.photos.models import WrongPatientCheck


class Frame:
    """What stands around a page, read when a template first asks for it: a part of a page pays nothing."""

    def __init__(self, request: HttpRequest) -> None:
        user = getattr(request, "user", None)
        self._user = user if isinstance(user, User) else None
        match = request.resolver_match
        self.view = match.view_name if match else ""

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The places of this user, the current one marked."""
        return places_of(self._user, self.view) if self._user else ()

    @cached_property
    def place(self) -> Place | None:
        """The place in which this page stands."""
        return next((place for place in self.places if place.is_open), None)

    @cached_property
    def new_answers(self) -> int:
        """Answers of clinicians that this user has not seen."""
        if self._user is None or not self._user.has_perm("predictions.view_eyeimage"):
            return 0
        return News.objects.visible_to(self._user).unseen().count()

    @cached_property
    def open_checks(self) -> int:
        """Near-copies under two patients that this user can check."""
        if self._user is None or not self._user.has_perm("predictions.add_eyeimage"):
            return 0
        return WrongPatientCheck.objects.visible_to(self._user).open().count()

    @cached_property
    def unseen_notices(self) -> int:
        """Notices that this user has not seen."""
        if self._user is None or not self._user.has_perm("cataract.view_notice"):
            return 0
        return Notice.objects.unseen_by(self._user).count()


def frame_of(request: HttpRequest) -> Frame:
    """The one frame of this request, for its view and for every template that it renders."""
    found: Frame | None = getattr(request, "_frame", None)
    if found is None:
        found = request._frame = Frame(request)  # type: ignore[attr-defined]
    return found


def frame(request: HttpRequest) -> dict[str, Any]:
    """`frame`: what stands around the page."""
    return {"frame": frame_of(request)}
