"""The navigation: five places, each with its pages, as far as a user's permissions open them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from django.contrib.auth.models import User
from django.urls import reverse

May = Callable[[User], bool]


def any_of(*permissions: str) -> May:
    """A user with one of these permissions."""
    return lambda user: any(user.has_perm(permission) for permission in permissions)


def all_of(*permissions: str) -> May:
    """A user with all of these permissions."""
    return lambda user: user.has_perms(permissions)


def staff(*permissions: str) -> May:
    """A user of the Django admin, with all of these permissions."""
    return lambda user: user.is_staff and user.has_perms(permissions)


@dataclass(frozen=True)
class Page:
    """A page of a place. `also`: the views, by the beginning of their names, that belong to it."""

    title: str
    view: str
    may: May
    also: tuple[str, ...] = ()
    counted: str = ""  # the attribute of the frame that says how much waits there
    is_current: bool = False
    is_open: bool = False  # it, or a page that belongs to it, is shown

    @property
    def url(self) -> str:
        """Its address."""
        return reverse(self.view)


@dataclass(frozen=True)
class Place:
    """One of the five places. It is shown to whoever may open one of its pages."""

    title: str
    icon: str
    pages: tuple[Page, ...]
    is_open: bool = False

    @property
    def url(self) -> str:
        """The address of its first page."""
        return self.pages[0].url


def _model(title: str, name: str, permission: str, *also: str) -> Page:
    """The list of a model in the Django admin, with all pages about its rows."""
    return Page(title, f"admin:{name}_changelist", staff(permission), (f"admin:{name}_", *also))


_READS = any_of("review.read_reviewcase", "review.adjudicate_reviewcase")
_READS_FIRST = any_of("review.read_reviewcase")
_UPLOADS = any_of("predictions.add_eyeimage")

PLACES = (
    Place(
        "Screening",
        "camera",
        (
            Page("Upload", "predictions:upload", _UPLOADS),
            Page("Batches", "predictions:batches", _UPLOADS, ("predictions:batch",)),
            Page(
                "Photos",
                "predictions:list",
                any_of("predictions.view_eyeimage"),
                ("predictions:detail", "predictions:correct", "predictions:consent"),
            ),
            Page(
                "Patients",
                "predictions:patients",
                any_of("predictions.view_eyeimage"),
                ("predictions:patient", "predictions:result", "predictions:referral"),
            ),
            Page("Wrong patient?", "predictions:checks", _UPLOADS, ("predictions:check",), counted="open_checks"),
            Page("Trash", "predictions:deletions", any_of("predictions.delete_photo"), ("predictions:delet",)),
        ),
    ),
    Place(
        "Review",
        "review",
        (
            Page("Queue", "review:queue", _READS, ("review:case", "review:amend")),
            Page(
                "Worklist",
                "review:worklist",
                any_of("review.read_reviewcase", "review.adjudicate_reviewcase", "review.view_reviewcase"),
            ),
            Page("Concerns", "review:concerns", any_of("review.assign_reviewcase")),
            Page("Cases you read", "review:own-cases", _READS_FIRST, ("review:quality-note",)),
            Page("Practice", "review:practice", _READS_FIRST, ("review:practice",)),
            Page("Keys", "review:keys", _READS),
            Page("Agreement", "review:agreement", any_of("review.adjudicate_reviewcase", "review.view_reading")),
            Page("Look-backs", "review:look-backs", any_of("review.view_lookback"), ("review:look-", "review:cleared")),
            Page("Outcomes", "review:outcomes", any_of("review.view_outcome"), ("review:outcome",)),
            Page("Drift", "review:drift", any_of("predictions.view_driftsegment"), ("review:drift",)),
            Page(
                "Automatic answers",
                "review:acceptance",
                all_of("predictions.view_acceptance", "predictions.view_every_eyeimage"),
            ),
            Page("Safety switch", "predictions:stops", any_of("predictions.view_aistop")),
        ),
    ),
    Place(
        "Models",
        "box",
        (
            _model(
                "Releases",
                "training_releasereview",
                "predictions.view_release",
                "admin:training_promote",
                "admin:training_rollback",
                "admin:training_evidence",
                "admin:training_flip",
                "admin:training_compare",
                "admin:predictions_release_",
                "admin:predictions_promotion_",
                "training:release-photos",
            ),
            Page("Timeline", "training:timeline", all_of("training.view_comparison")),
            Page(
                "Start a run",
                "admin:training_trainingrun_add",
                staff("training.add_trainingrun", "training.view_trainingrun"),
            ),
            _model("Training runs", "training_trainingrun", "training.view_trainingrun"),
            _model("Automatic runs", "training_trainingpolicy", "training.view_trainingpolicy"),
            _model("Datasets", "training_dataset", "training.view_dataset", "training:lineage", "training:labels"),
            Page("Imports", "training:imports", all_of("training.view_photoimport"), ("training:import",)),
            Page("Encoders", "training:encoders", all_of("training.view_encoderchange")),
            _model("Labels", "review_label", "review.view_label"),
            _model("Live tests", "training_livetestreview", "predictions.view_livetest"),
        ),
    ),
    Place(
        "People",
        "person",
        (
            _model("Users", "auth_user", "auth.view_user"),
            Page("Readers", "review:readers", any_of("review.manage_readers"), ("review:lift-pause",)),
            _model("Roles", "auth_group", "auth.view_group"),
            _model("API keys", "predictions_apitoken", "predictions.view_apitoken"),
        ),
    ),
    Place(
        "System",
        "settings",
        (
            Page("Overview", "overview:page", any_of("cataract.view_overview"), ("overview:",)),
            Page("Status", "status:page", any_of("cataract.view_notice")),
            Page("Notices", "ops:notices", any_of("cataract.view_notice"), counted="unseen_notices"),
            Page("Audit log", "audit:log", any_of("cataract.view_auditentry")),
            _model("Sites", "predictions_site", "predictions.view_site"),
            _model("Devices", "predictions_device", "predictions.view_device"),
            _model(
                "Webhooks",
                "predictions_webhookendpoint",
                "predictions.view_webhookendpoint",
                "admin:predictions_webhook",
            ),
            Page("API", "api-docs", any_of("predictions.view_release")),
            Page("All tables", "admin:index", staff(), ("admin:",)),
        ),
    ),
)


def places_of(user: User, view: str) -> tuple[Place, ...]:
    """The places that `user` may enter, with the page marked to which `view` (the name of a view) belongs."""
    current = _page_of(view)
    return tuple(_shown(user, current, view))


def _page_of(view: str) -> Page | None:
    """The page that `view` is, else the first that it belongs to."""
    pages = [page for place in PLACES for page in place.pages]
    exact = (page for page in pages if page.view == view)
    belongs = (page for page in pages if page.also and view.startswith(page.also))
    return next(exact, None) or next(belongs, None)


def _shown(user: User, current: Page | None, view: str) -> Iterator[Place]:
    for place in PLACES:
        pages = tuple(
            replace(page, is_open=page is current, is_current=page is current and page.view == view)
            for page in place.pages
            if page.may(user)
        )
        if pages:
            yield replace(place, pages=pages, is_open=any(page.is_open for page in pages))
