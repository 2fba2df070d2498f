"""Render a case on the screen its user sees, and go from one case to the next.

Until a reader's blind answer is stored, nothing here renders, names or links the AI's answer, except in the marked
random share of first readings that show it first (REVIEW_AI_FIRST_RATE).
"""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from cataract.core.http.htmx import is_htmx
from cataract.core.http.users import user_of
from cataract.ml.labels import Reason
from predictions.answering.answers import Answer
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import ADJUDICATE
from review.queue import claims, policy, progress
from review.reading import access, drafts, keyboard, services, slips, transitions
from review.reading.access import Screen
from review.reading.forms import AdjudicationForm, AskForm, BlindForm

UNDO_WITHIN = timedelta(hours=1)
GOAL = "review_goal"  # of a session: the day, and the cases read or waiting when it began to read
REASONS: dict[str, str] = {
    Reason.UNCERTAIN: "the AI was not sure",
    Reason.DISAGREEMENT: "its two models disagreed",
    Reason.OUT_OF_DISTRIBUTION: "the photo looks different from the photos the AI was trained on",
    Reason.QUALITY: "the quality of the photo",
    Reason.OTHER_FINDING: "something other than a cataract may be visible",
    Reason.NO_COLOUR: "the photo has no colour",
    Reason.UNGRADABLE: "the AI could not judge it",
    Reason.INVALID_SCORE: "its models returned no usable score",
    Reason.ALWAYS_READ: "photos of this patient are always read, whatever the AI says",
    Reason.AUDIT_SAMPLE: "a random check of sure answers",
    Reason.NOT_ACCEPTED: "automatic answers of this kind are not accepted at the site",
    Reason.NO_CHAMPION: "no model was in service",
    Reason.AI_OFF: "the AI was switched off",
    Reason.FAILED: "the analysis failed",
    Reason.REQUESTED: "a review was requested",
    Reason.SUSPECTED_LABEL: "its label was in doubt",
    Reason.LOOK_BACK: "an earlier answer was looked at again",
}


# From case to case ----------------------------------------------------------------------------------------------------
def go_to_next(request: HttpRequest, answered: Reading | None = None) -> HttpResponse:
    """Claim the next case and go there; without one, go to the queue page.

    A page that has the next screen in memory names its case (`next`). If this user's claim on it still runs, the
    response is only the strip and a header, and the page paints the screen at once.
    """
    if is_htmx(request) and (case_id := _renew_named_next(request)) is not None:
        drafts.note_shown(case_id, user_of(request))
        response = render(request, "review/_strip.html", _strip(request, answered))
        response["Review-Case"] = str(case_id)
        response["HX-Push-Url"] = reverse("review:case", args=[case_id])
        return response
    case = services.claim_next(reader=user_of(request))
    if case is not None:
        return go_to(request, case, answered)
    if is_htmx(request):
        return HttpResponseClientRedirect(reverse("review:queue"))
    return redirect("review:queue")


def go_to(request: HttpRequest, case: ReviewCase, answered: Reading | None = None) -> HttpResponse:
    """Redirect to a case just claimed; for htmx render it at once, which saves a request."""
    if is_htmx(request):
        return render_case(request, case, just_claimed=True, answered=answered)
    return redirect("review:case", pk=case.pk)


def _renew_named_next(request: HttpRequest) -> UUID | None:
    """The case the page has in memory, its lease now a full one; None if it names none or the lease has ended."""
    try:
        case_id = UUID(request.POST.get("next", ""))
    except ValueError:
        return None
    return case_id if claims.renew_ahead(case_id, user_of(request)) else None


# One case -------------------------------------------------------------------------------------------------------------
def render_case(
    request: HttpRequest,
    case: ReviewCase,
    *,
    form: Form | None = None,
    problem: str = "",
    status: int = 200,
    quick: float | None = None,
    asked: AskForm | None = None,
    just_claimed: bool = False,
    answered: Reading | None = None,
) -> HttpResponse:
    """The case on this user's screen.

    `form` and `problem`: the answer that was not stored, and why. `quick`: the seconds after which that answer came, if
    the reader is asked whether to keep it. `asked`: the question to a colleague that was not sent. `just_claimed`: this
    request has claimed the case. `answered`: the reading this request has stored; the AI's answer to it is held back
    for a moment, in which undoing it is a slip.
    """
    user = user_of(request)
    if not just_claimed:
        case.refresh_from_db()
        claims.renew(case, user)
    screen = access.screen_for(case, user, just_claimed=just_claimed)
    context = _context(case, user, screen, form) | _strip(request, answered)
    if screen in access.ANSWERED:
        reading = answered if screen == Screen.REVEAL and answered is not None else access.own_reading(case, user)
        if screen == Screen.REVEAL and reading is not None:
            if answered is not None and is_htmx(request) and slips.is_fresh(answered):
                context["screen"] = screen = Screen.HELD
            else:
                services.show_ai(reading=reading)
        context |= {"reading": reading, **(_ai(case) if access.may_see_ai(case, reading) else {})}
    elif screen == Screen.BLIND:
        drafts.note_shown(case.pk, user)
        if services.show_ai_first(case=case, reader=user):
            context |= {"ai_first": True, **_ai(case)}
        if asked is not None:
            context["ask_form"] = asked
        if quick is not None and isinstance(form, BlindForm):
            context |= _quick(form, quick)
    elif screen == Screen.CLOSED:
        context |= _closed(case, user)
        context["unstored"] = form.cleaned_data if form is not None and problem else None
    context["may_amend"] = case.status == ReviewCase.Status.RESOLVED and user.has_perm(ADJUDICATE)
    context |= {"problem": problem, "with_photo": just_claimed or access.may_see_photo(case, user)}
    if is_htmx(request):
        response = render(request, "review/_swap.html", context, status=status)
        response["HX-Push-Url"] = reverse("review:case", args=[case.pk])
        return response
    read, _, left = progress_of(request).partition(", ")
    context |= {"progress": {"read": read, "left": left}, "view_json": json.dumps(keyboard.view_of(user))}
    context |= {"settle": round(1000 * settings.REVIEW_TOO_FAST_SECONDS)}
    return render(request, "review/case.html", context, status=status)


def render_ahead(request: HttpRequest, case: ReviewCase, *, current: ReviewCase) -> str | None:
    """The screen of a case claimed in advance, for the page to paint after `current` without another request.

    None where the AI is shown first: the time it is shown must be recorded when it happens.
    """
    user = user_of(request)
    if policy.shows_ai_first(case, user):
        return None
    context = _context(case, user, access.screen_for(case, user, just_claimed=True), None) | {"with_photo": True}
    # By the time this screen is painted, the current photo has been read.
    context["other_photos"] = context["other_photos"].exclude(pk=current.image_id)
    return render_to_string("review/_case.html", context, request)


def _context(case: ReviewCase, user: User, screen: Screen, form: Form | None) -> dict[str, Any]:
    """The part of a screen that does not depend on the AI's answer."""
    other_photos = access.other_photos(case, has_answered=screen in access.ANSWERED)
    context: dict[str, Any] = {"case": case, "screen": screen, "keys": keyboard.keys_of(user)}
    context["other_photos"] = other_photos
    if screen == Screen.ADJUDICATE:
        adjudication = _form(form, AdjudicationForm, case, user)
        chosen = adjudication.data.get("answer", "")
        context |= {"readings": access.readings_to_adjudicate(case), "form": adjudication}
        context["chosen_words"] = dict(Answer.choices).get(chosen, "")
    elif screen == Screen.BLIND:
        seen = policy.has_seen(case, user) and not slips.is_forgiven(case, user)
        context |= {"form": _form(form, BlindForm, case, user), "seen": seen}
        context["ask_form"] = AskForm(asker=user)
    return context


def _quick(form: BlindForm, seconds: float) -> dict[str, Any]:
    """A quick answer, to be sent again as it was if its reader keeps it."""
    names = [name for name in form.fields if name not in ("answer", "seconds") and form.data.get(name)]
    answer = Answer(form.cleaned_data["answer"]).label
    return {"quick": seconds, "quick_answer": answer, "quick_fields": [(name, form.data[name]) for name in names]}


def _form(form: Form | None, form_class: type[Form], case: ReviewCase, user: User) -> Form:
    """The submitted form if it belongs to this screen, else one with what this user has typed before."""
    return form if isinstance(form, form_class) else form_class(initial=drafts.content_of(case, user))


def _closed(case: ReviewCase, user: User) -> dict[str, Any]:
    may_claim = policy.readable(user).filter(pk=case.pk).exists()
    return {"may_claim": may_claim, "closed_message": transitions.closed_message(case, user)}


def _ai(case: ReviewCase) -> dict[str, Any]:
    """The AI's answer, for a reader who may see it."""
    decision = policy.ai_decision(case)
    return {
        "ai": case.prediction if decision else None,
        "ai_answer": Answer(decision).label if decision else "",  # in the words in which readers answer
        "reasons": [REASONS.get(reason, reason) for reason in case.reasons],
    }


# The strip above the case ---------------------------------------------------------------------------------------------
def _strip(request: HttpRequest, answered: Reading | None) -> dict[str, Any]:
    """The strip above the case: messages, and the answer that can be undone."""
    user = user_of(request)
    return {"last": answered or last_reading(user), "keys": keyboard.keys_of(user)}


def progress_of(request: HttpRequest) -> str:
    """The progress of today, out of the cases that waited when this session began to read: the total does not jump."""
    counts = progress.today_of(user_of(request))
    day, of = request.session.get(GOAL, ("", 0))
    today = timezone.localdate().isoformat()
    if day != today or (counts.done_today >= of and counts.waiting):
        of = counts.done_today + counts.waiting
        request.session[GOAL] = (today, of)
    return progress.in_words(counts, of=of)


def last_reading(user: User) -> Reading | None:
    """This user's last answer, while it may be undone."""
    since = timezone.now() - UNDO_WITHIN
    own = Reading.objects.standing().filter(reader=user, case__image__status=EyeImage.Status.KEPT)
    return own.filter(blind_at__gte=since).order_by("-blind_at").first()
