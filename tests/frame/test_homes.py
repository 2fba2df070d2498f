"""The home of each role at `/`: three figures, one main action, the newest things; no answer for who reads blind."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cataract.ops.notices.models import Notice
from predictions.answering.models import Disclosure
from predictions.releases.models import Release
from review.cases.models import ReviewCase
from review.reading import services
from tests.factories import PredictionFactory, ReaderFactory, ReleaseFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


def home(user: User) -> str:
    client = Client()
    client.force_login(user)
    response = client.get("/")
    assert response.status_code == 200
    return response.content.decode()


def figures(page: str) -> dict[str, str]:
    pairs = re.findall(r'figure__name"[^>]*>([^<]*)<.*?<b class="figure__value[^"]*">([^<]*)</b>', page, re.DOTALL)
    return dict(pairs)


def test_a_screener_sees_what_waits_what_is_new_and_what_was_sent_today() -> None:
    screener = UserFactory.create(roles=["screener"])
    for days in (0, 0, 3):
        PredictionFactory.create(
            image__uploaded_by=screener, created_at=timezone.now() - timedelta(days=days, seconds=1)
        )
    PredictionFactory.create()  # somebody else's
    page = home(screener)
    assert figures(page)["Waiting for a clinician"] == "3" and figures(page)["Answered since you looked"] == "0"
    assert page.count('class="rows__row"') == 3 and 'href="/upload/"' in page
    assert Disclosure.objects.filter(user=screener).count() == 3, "what was shown is on record"


def test_a_reader_sees_cases_and_starts_here() -> None:
    make_case()
    reader = ReaderFactory.create()
    page = home(reader)
    assert figures(page) == {"Cases for you": "1", "Minutes left": "-", "Read today": "0"}
    assert 'action="/review/next/"' in page and "Start reading" in page


def test_whoever_reads_is_shown_no_answer_whatever_other_role_they_have() -> None:
    case = make_case("cataract")
    both = UserFactory.create(roles=["reader", "screener", "admin"], is_staff=True)
    before = home(both)
    case.prediction.decision = "normal"
    assert "ataract" not in before.split('<main id="main"')[1].split("</main>")[0]
    assert not Disclosure.objects.filter(user=both).exists()


def test_a_reader_sees_only_the_own_answer_of_what_was_read() -> None:
    case, reader = make_case("cataract"), ReaderFactory.create()
    services.claim_case(case=case, reader=reader)
    services.store_blind_answer(case=case, reader=reader, answer="normal")
    page = home(reader)
    assert "Your answer: no cataract" in page and "AI" not in page.split('class="rows"')[1].split("</ul>")[0]


def test_an_admin_sees_notices_the_oldest_wait_and_the_champion() -> None:
    case = make_case()
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(hours=3, minutes=10))
    Release.objects.update(status="champion", promoted_at=timezone.now())
    ReleaseFactory.create(id="challenger-1")
    Notice.objects.create(kind="drift", key="x")
    page = home(UserFactory.create(roles=["admin"]))
    assert figures(page) == {"Open notices": "1", "Oldest case waiting": "3 h 10", "Champion": "release-of-the-test"}
    assert "1 challenger" in page and "1 notice needs you" in page and 'href="/notices/"' in page


@pytest.mark.parametrize("role", ["screener", "integrator", "auditor", "admin", "reader", "adjudicator"])
def test_each_home_has_three_figures_one_main_action_and_costs_few_queries(
    role: str, django_assert_max_num_queries: object
) -> None:
    for _ in range(12):
        make_case()
    user = UserFactory.create(roles=[role])
    home(user)
    client = Client()
    client.force_login(user)
    with django_assert_max_num_queries(26):  # type: ignore[operator]
        page = client.get("/").content.decode()
    assert len(figures(page)) == 3 and page.count("button--main") == 1


def test_an_account_without_a_role_is_told_what_to_do() -> None:
    client = Client()
    client.force_login(UserFactory.create())
    response = client.get("/")
    assert response.status_code == 403 and "no role yet" in response.content.decode()
