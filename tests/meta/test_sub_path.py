"""Below a path of a proxy, every address that the system makes begins with that path."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import set_script_prefix

from cataract.core.hosts import in_address
from cataract.core.http.sub_path import below_sub_path
from cataract.core.processes import available_cores
from tests.factories import PredictionFactory
from tests.system import System

PAGES = ("/accounts/login/", "/upload/", "/uploads/", "/review/worklist/", "/admin/", "/api/v1/docs/", "/nothing-here/")


@pytest.fixture
def below(settings: Any) -> Iterator[None]:
    """The settings of SUB_PATH=/eyes, as another test reads them from a process, and the prefix that WSGI then sets."""
    settings.SUB_PATH = settings.FORCE_SCRIPT_NAME = "/eyes"
    settings.SESSION_COOKIE_PATH = settings.CSRF_COOKIE_PATH = "/eyes/"
    settings.STATIC_URL = "/eyes/static/"
    set_script_prefix("/eyes/")
    yield
    set_script_prefix("/")


@pytest.mark.django_db
@pytest.mark.parametrize("address", PAGES)
def test_every_link_of_a_page_begins_with_the_path(address: str, below: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    answer = client.get(address)
    page = answer.content.decode()
    found = re.findall(r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)"', page)
    found += re.findall(r'data-[a-z]+="(/[^"]+)"', page)  # "/" alone is a key of the keyboard
    assert [link for link in found if not link.startswith("/eyes/")] == []
    assert found or answer.status_code in (302, 303)
    assert answer.headers.get("Location", "/eyes/").startswith("/eyes/")


@pytest.mark.django_db
def test_redirects_cookies_and_the_api_keep_to_the_path(below: None, client: Client) -> None:
    answer = client.get("/upload/")
    assert answer.status_code == 302 and answer.headers["Location"].startswith(
        "/eyes/accounts/login/?next=/eyes/upload/"
    )
    assert client.get("/accounts/login/").cookies.popitem()[1]["path"] == "/eyes/"
    prediction = PredictionFactory.create()
    assert prediction.api_url == f"/eyes/api/v1/predictions/{prediction.pk}"


def test_the_variable_is_read_with_and_without_slashes(tmp_path: Path) -> None:
    code = "from django.conf import settings as s; from django.urls import reverse\nprint(s.FORCE_SCRIPT_NAME, "
    code += "s.SESSION_COOKIE_PATH, s.STATIC_URL, reverse('home'))"
    assert System(tmp_path, SUB_PATH="eyes/").python(code) == "/eyes /eyes/ /eyes/static/ /eyes/"
    assert System(tmp_path).python(code) == "None / /static/ /"


def test_the_path_may_come_with_the_request_or_be_removed_by_the_proxy(below: None) -> None:
    asked: list[str] = []

    def answer(environ: dict[str, Any], _start: object) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        return []

    application = below_sub_path(answer)
    for path in ("/eyes/upload/", "/upload/", "/eyes", "/eyesight/"):
        application({"PATH_INFO": path}, None)
    assert asked == ["/upload/", "/upload/", "/", "/eyesight/"]


def test_an_ipv6_address_stands_in_brackets() -> None:
    hosts = ("::1", "[::1]", "127.0.0.1", "host")
    assert [in_address(host) for host in hosts] == ["[::1]", "[::1]", "127.0.0.1", "host"]


def test_cores_follow_the_limit_of_the_control_group(tmp_path: Path) -> None:
    own = tmp_path / "sys" / "fs" / "cgroup" / "system.slice" / "cataract.service"
    own.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/system.slice/cataract.service\n")
    (own / "cpu.max").write_text("max 100000\n")
    assert available_cores(tmp_path) == available_cores(Path("/nowhere"))
    (own.parent / "cpu.max").write_text("50000 100000\n")
    assert available_cores(tmp_path) == 1, "half a core of the slice that it is part of is one process"
