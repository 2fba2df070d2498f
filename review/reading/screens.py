"""What a reader sees of a case: blind, reveal, adjudicate, finished or closed; and the way from one case to the next.

Until a reader's blind answer is stored, nothing here renders, names or links the AI's answer.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from cataract.core.http.users import user_of
from review.cases.answers import Answer
from review.cases.models import Reading, ReviewCase
from review.queue import access, claims, policy, progress
from review.reading import services, transitions
from review.reading.forms import AdjudicationForm, BlindForm
from review.reading.shortcuts import keys_of

UNDO_WITHIN = timedelta(hours=1)
REASONS = {
    "uncertain": "the AI was not sure",
    "disagreement": "its two models disagreed",
    "out_of_distribution": "the photo is unlike those it knows",
    "quality": "the quality of the photo",
    "ungradable": "the AI could not judge it",
    "audit_sample": "a random check of sure answers",
    "no_champion": "no model was in service",
    "failed": "the analysis failed",
    "requested": "somebody asked for a reading",
    "suspected_label": "its label was in doubt",
}


# From case to case ----------------------------------------------------------------------------------------------------
def go_next(request: HttpRequest, answered: Reading | None = None) -> HttpResponse:
    """Claim the next case and go there; without a free case, to the queue page, which says what others hold.

    A page that has the next screen in memory already names it (`next`): where this person still holds that case, the
    answer is a few lines and a header, and the page paints at once.
    """
    if request.htmx and (case := _held_ahead(request)) is not None:  # type: ignore[attr-defined]
        response = render(request, "review/_told.html", _told(request, answered))
        response["Review-Case"] = str(case)
        response["HX-Push-Url"] = reverse("review:case", args=[case])
        return response
    following = services.claim_next(reader=user_of(request))
    if following is not None:
        return go_to(request, following, answered)
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(reverse("review:queue"))
    return redirect("review:queue")


def go_to(request: HttpRequest, case: ReviewCase, answered: Reading | None = None) -> HttpResponse:
    """The case's address; for htmx the case itself at once, which saves a second request."""
    if request.htmx:  # type: ignore[attr-defined]
        return show(request, case, just_claimed=True, answered=answered)
    return redirect("review:case", pk=case.pk)


def _held_ahead(request: HttpRequest) -> UUID | None:
    """The case whose screen the page has in memory, now held for as long as any other; None where it is not held."""
    try:
        case = UUID(request.POST.get("next", ""))
    except ValueError:
        return None
    return case if claims.hold_on(case, user_of(request)) else None


# One case -------------------------------------------------------------------------------------------------------------
def show(
    request: HttpRequest,
    case: ReviewCase,
    *,
    form: Form | None = None,
    problem: str = "",
    status: int = 200,
    just_claimed: bool = False,
    answered: Reading | None = None,
) -> HttpResponse:
    """The screen on which this person stands with the case. `just_claimed`: held for this request already."""
    person = user_of(request)
    if not just_claimed:
        case.refresh_from_db()
        claims.renew(case, person)
    screen = access.step(case, person, just_claimed=just_claimed)
    context = _context(request, case, screen, form) | {"problem": problem}
    if screen in ("reveal", "finished"):
        own = answered if screen == "reveal" and answered is not None else access.own_reading(case, person)
        context |= {"reading": own, **(_ai(case) if access.is_told(case, own) else {})}
    elif screen == "blind" and services.show_ai_first(case=case, reader=person):
        context |= {"ai_first": True, **_ai(case)}
    elif screen == "closed":
        context["may_claim"] = policy.readable(person).filter(pk=case.pk).exists()
        context["why"] = transitions.why_closed(case, person)
        context["kept"] = form.cleaned_data if form is not None and problem else None
    context["with_photo"] = just_claimed or access.may_see_photo(case, person)
    context |= _told(request, answered)
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "review/_swap.html", context, status=status)
        response["HX-Push-Url"] = reverse("review:case", args=[case.pk])
        return response
    context["progress"] = progress.in_words(progress.counts(person))
    return render(request, "review/case.html", context, status=status)


def in_advance(request: HttpRequest, case: ReviewCase, *, besides: ReviewCase) -> str | None:
    """The screen of a case that is kept for this person, to be painted after `besides` without asking again.

    None where the AI is shown first, for which the moment counts and is written down when it is shown.
    """
    person = user_of(request)
    if policy.shows_ai_first(case, person):
        return None
    context = _context(request, case, access.step(case, person, just_claimed=True), None) | {"with_photo": True}
    context["visits"] = context["visits"].exclude(pk=besides.image_id)  # by then it has been read
    return render_to_string("review/_case.html", context, request)


def _context(request: HttpRequest, case: ReviewCase, screen: str, form: Form | None) -> dict[str, Any]:
    """What a screen shows that does not depend on what the AI said."""
    person = user_of(request)
    visits = access.visits(case, has_answered=screen in ("reveal", "finished"))
    context: dict[str, Any] = {"case": case, "screen": screen, "keys": keys_of(person), "visits": visits}
    if screen == "adjudicate":
        readings = case.readings.filter(retracted_at__isnull=True).exclude(role=Reading.Role.EXTRA)
        context |= {"readings": readings.order_by("pk"), "form": _filled(form, AdjudicationForm)}  # not who was first
    elif screen == "blind":
        context |= {"form": _filled(form, BlindForm), "seen": policy.has_seen(case, person)}
    return context


def _filled(form: Form | None, form_class: type[Form]) -> Form:
    """The form as the person filled it in, where it belongs to this screen; else an empty one."""
    return form if isinstance(form, form_class) else form_class()


def _ai(case: ReviewCase) -> dict[str, Any]:
    """What the AI said, for one whose blind answer is stored or who is shown it first on purpose."""
    opinion = policy.opinion(case)
    return {
        "ai": case.prediction if opinion else None,
        "ai_says": Answer(opinion).label if opinion else "",  # in the words in which people answer
        "reasons": [REASONS.get(reason, reason) for reason in case.reasons],
    }


def _told(request: HttpRequest, answered: Reading | None) -> dict[str, Any]:
    """What the strip above the case says: the answer that `Z` takes back."""
    return {"last": answered or last_reading(request), "keys": keys_of(user_of(request))}


def last_reading(request: HttpRequest) -> Reading | None:
    """This person's last answer, while it may be taken back."""
    since = timezone.now() - UNDO_WITHIN
    own = Reading.objects.filter(reader=user_of(request), retracted_at__isnull=True, blind_at__gte=since)
    return own.order_by("-blind_at").first()
