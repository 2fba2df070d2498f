"""Pages of practice: the instructions, a session question by question, and the choice of cases by admins."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.audit.models import Act
from cataract.core.audit.services import record_view
from cataract.core.errors import DomainError
from cataract.core.http import keyset
from cataract.core.http.users import user_of
from predictions.answering.answers import Answer
from predictions.answering.models import Prediction
from predictions.answering.services import disclose
from review.cases.models import ReviewCase
from review.cases.permissions import managers_only, readers_and_managers_only, readers_only
from review.cases.photos import view_of
from review.practice import drawings, selectors, services
from review.practice.forms import ChoiceForm, InstructionsForm, PracticeForm, StartForm
from review.practice.models import PracticeCase, PracticeSession
from review.practice.wording import share_in_words

PAGE_SIZE = 24
_ATTEMPTS = 20


@require_GET
@readers_and_managers_only
def practice_page(request: HttpRequest) -> HttpResponse:
    """The instructions with drawn pictures, the two buttons that start, and one's own attempts."""
    reader = user_of(request)
    attempts = list(PracticeSession.objects.filter(reader=reader)[:_ATTEMPTS])
    context = {
        "instructions": selectors.instructions_text(),
        "qualifying": settings.REVIEW_QUALIFYING_CASES,
        "pass_mark": settings.REVIEW_PASS_MARK,
        "attempts": [(attempt, _score(attempt)) for attempt in attempts],
        "qualified": any(each.passed and each.kind == PracticeSession.Kind.QUALIFYING for each in attempts),
        "chosen": PracticeCase.objects.count(),
    }
    return render(request, "review/practice.html", context)


@require_POST
@readers_only
def start(request: HttpRequest) -> HttpResponse:
    """Start a session, or go on with the one that is running."""
    form = StartForm(request.POST)
    if not form.is_valid():
        raise Http404("No such kind of practice.")
    try:
        session = services.start_session(reader=user_of(request), kind=form.cleaned_data["kind"])
    except DomainError as error:
        messages.error(request, error.message)
        return redirect("review:practice")
    return redirect("review:practice-session", pk=session.pk)


@require_http_methods(["GET", "POST"])
@readers_only
def session_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The next question, the feedback on the last answer, or the result. A POST stores an answer."""
    session = get_object_or_404(PracticeSession, pk=pk, reader=user_of(request))
    if request.method == "POST":
        return _store(request, session)
    shown = _answered(session, request.GET.get("after", ""))
    item = services.next_item(session)
    context: dict[str, Any] = {
        "session": session,
        "score": _score(session),
        "is_practice": session.kind == PracticeSession.Kind.PRACTICE,
        "count": session.items.count(),
        "item": item if shown is None else shown,
        "feedback": shown,
        "is_last": item is None,
        "answers": Answer.choices,
    }
    return render(request, "review/practice_session.html", context)


def _store(request: HttpRequest, session: PracticeSession) -> HttpResponse:
    form = PracticeForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose an answer.")
        return redirect("review:practice-session", pk=session.pk)
    item = get_object_or_404(session.items.all(), number=form.cleaned_data["number"])
    address = reverse("review:practice-session", args=[session.pk])
    try:
        services.answer_item(item=item, answer=form.cleaned_data["answer"])
    except DomainError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(address)
    if session.kind == PracticeSession.Kind.PRACTICE:
        address += f"?after={item.number}"
    return HttpResponseRedirect(address)


def _answered(session: PracticeSession, number: str) -> Any:
    """The answered question of practice whose feedback the address asks for; None for all else."""
    if session.kind != PracticeSession.Kind.PRACTICE or not number.isascii() or not number[:4].isdigit():
        return None
    return session.items.filter(number=int(number[:4])).exclude(answer="").first()


@require_GET
@readers_only
def photo(request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
    """The photo or drawing of a question of one's own session."""
    session = get_object_or_404(PracticeSession, pk=pk, reader=user_of(request))
    item = get_object_or_404(session.items.select_related("case__image"), number=number)
    if item.case is None:
        data = drawings.draw(item.drawing or 0)
    else:
        case = get_object_or_404(ReviewCase.objects.of_photos_in_use().select_related("image"), pk=item.case_id)
        data = view_of(case.image)
        record_view(Act.PHOTO_VIEWED, photo=case.image, user=user_of(request), practice=str(session.pk))
    return HttpResponse(data, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


def _score(session: PracticeSession) -> str:
    """How many answers were right; empty while the session runs."""
    return "" if session.right is None else f"Right: {share_in_words(session.right, session.asked or 0)}"


# What admins do -------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@managers_only
def cases_page(request: HttpRequest) -> HttpResponse:
    """The cases that may be practised on, newest first, each with a button that chooses it or takes it out."""
    user = user_of(request)
    visible = ReviewCase.objects.filter(prediction__in=Prediction.objects.visible_to(user))
    if request.method == "POST":
        form = ChoiceForm(request.POST)
        if not form.is_valid():
            raise Http404("No such case.")
        case = get_object_or_404(visible, pk=form.cleaned_data["case"].pk)
        try:
            if form.cleaned_data["act"] == "choose":
                services.choose_case(case=case, user=user)
            else:
                services.take_out(case=case)
        except DomainError as error:
            messages.error(request, error.message)
        return HttpResponseRedirect(request.get_full_path())
    cases = selectors.suitable().filter(pk__in=visible.values("pk")).select_related("image__patient", "prediction")
    if request.GET.get("show") == "chosen":
        cases = cases.filter(practice__isnull=False)
    page = keyset.page_of(cases.select_related("practice"), size=PAGE_SIZE, address=request.GET)
    disclose(predictions=[case.prediction for case in page.object_list if case.prediction is not None], user=user)
    context = {
        "page": page,
        "labels": dict(Answer.choices),
        "chosen": PracticeCase.objects.count(),
        "show": request.GET.get("show", ""),
    }
    return render(request, "review/practice_cases.html", context)


@require_http_methods(["GET", "POST"])
@managers_only
def instructions_page(request: HttpRequest) -> HttpResponse:
    """Write the instructions of this installation."""
    form = InstructionsForm(request.POST or None, initial={"text": selectors.instructions_text()})
    if request.method == "POST" and form.is_valid():
        services.write_instructions(text=form.cleaned_data["text"], user=user_of(request))
        messages.success(request, "Saved. Readers see these instructions now.")
        return redirect("review:practice")
    return render(request, "review/instructions.html", {"form": form}, status=422 if form.errors else 200)
