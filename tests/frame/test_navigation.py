"""The navigation: each role sees its places, every link opens, and the page that is open is marked."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from cataract.frame.navigation import PLACES
from cataract.roles import ROLES
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

_MAIN = re.compile(r'<nav class="places".*?</nav>', re.DOTALL)
_PLACE = re.compile(r'<nav class="place" aria-label="([^"]*)".*?</nav>', re.DOTALL)
_LINK = re.compile(
    r'<a href="([^"]*)"( aria-current="(?:page|true)")?>(?:<svg.*?</svg>)?\s*(?:<span>)?([^<]*)', re.DOTALL
)

PLACES_OF = {
    "screener": ["Screening", "Review"],
    "integrator": ["Screening", "Review", "System"],
    "reader": ["Review"],
    "adjudicator": ["Review"],
    "auditor": ["Screening", "Review", "Models", "System"],
    "admin": ["Screening", "Review", "Models", "People", "System"],
}


def links(page: str, pattern: re.Pattern[str]) -> list[tuple[str, bool, str]]:
    """(address, whether it is marked as current, words) of each link in a navigation; none where there is no such."""
    found = pattern.search(page)
    return [(url, bool(marked), words.strip()) for url, marked, words in _LINK.findall(found[0])] if found else []


def page_of(client: Client, address: str) -> str:
    response = client.get(address, follow=True)
    assert response.status_code == 200, f"{address} answered {response.status_code}"
    return response.content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_every_link_of_the_navigation_opens_and_is_marked(role: str) -> None:
    client = Client()
    client.force_login(UserFactory.create(roles=[role]))
    places = links(page_of(client, "/accounts/"), _MAIN)
    assert [words for _, _, words in places] == ["Home", *PLACES_OF[role]]
    for address, _, place in places[1:]:
        opened = page_of(client, address)
        assert [words for _, marked, words in links(opened, _MAIN) if marked] == [place]
        for url, _, words in links(opened, _PLACE) or [(address, True, "")]:
            shown = page_of(client, url)
            assert [name for _, marked, name in links(shown, _MAIN) if marked] == [place], f"{url}: {place}"
            assert not words or (url, True, words) in links(shown, _PLACE), f"{url} is not marked in {place}"


def test_nobody_sees_a_navigation_without_being_signed_in() -> None:
    page = Client().get("/accounts/login/").content.decode()
    assert not links(page, _MAIN)
    assert reverse("search") not in page


def test_the_admin_stands_in_the_same_frame_as_the_own_pages() -> None:
    client = Client()
    client.force_login(UserFactory.create(roles=["admin"]))
    own, admin = page_of(client, "/uploads/"), page_of(client, "/admin/review/label/")
    assert [words for _, _, words in links(own, _MAIN)] == [words for _, _, words in links(admin, _MAIN)]
    assert [words for _, marked, words in links(admin, _PLACE) if marked] == ["Labels"]
    assert 'id="site-search"' in admin


def test_no_page_stands_in_two_places() -> None:
    views = [page.view for place in PLACES for page in place.pages]
    assert len(views) == len(set(views))
