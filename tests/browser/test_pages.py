"""Every page is looked at: both widths, both themes, axe, no complaint of the browser."""

import re

from django.contrib import admin
from django.core.paginator import Paginator
from django.template import RequestContext, Template
from django.template.loader import render_to_string
from django.test import RequestFactory
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.factories import PASSWORD


def test_login_page(site: Site) -> None:
    page = site.open()
    page.goto("/accounts/login/")
    site.look(page, "login")
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    site.look(page, "login-refused")


def test_log_in_and_out_with_the_form(site: Site) -> None:
    site.user("admin")
    page = site.open()
    page.goto("/admin/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/")
    page.goto("/admin/")
    assert "login" in page.url
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


def test_the_back_button_after_logging_out_shows_the_login_page(site: Site) -> None:
    page = site.log_in("screener")
    page.goto("/uploads/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/")
    page.go_back()
    page.wait_for_url("**/accounts/login/?next=/uploads/")


def test_error_pages(site: Site) -> None:
    site.expect_complaint("404")
    page = site.open()
    page.goto("/there-is-no-such-page/")
    site.look(page, "404")


def test_no_permission_and_no_role(site: Site) -> None:
    site.expect_complaint("403")
    page = site.log_in("reader")
    page.goto("/upload/")
    expect(page.get_by_role("heading", level=1)).to_have_text("You do not have access to this page.")
    site.look(page, "403")
    page = site.log_in("integrator")
    page.goto("/review/")
    expect(page.get_by_role("heading", level=1)).to_have_text("You do not have access to this page.")


def test_admin_index(site: Site) -> None:
    page = site.log_in("admin")
    page.goto("/admin/")
    site.look(page, "admin")


def test_every_list_of_the_admin_opens_without_a_complaint(site: Site) -> None:
    page = site.log_in("admin")
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        answer = page.goto(address)
        assert answer is not None
        assert answer.ok, f"{address} answered {answer.status}"


def test_api_documentation(site: Site) -> None:
    page = site.log_in("integrator")
    page.goto("/api/v1/docs/")
    expect(page.get_by_text("Cataract screening API").first).to_be_visible()
    site.shoot(page, "api-docs")


def test_too_many_failed_attempts(site: Site) -> None:
    site.expect_complaint("429")
    site.user("reader")
    page = site.open()
    page.goto("/accounts/login/")
    for left in range(6, 0, -1):
        page.get_by_label("User name").fill("reader")
        page.get_by_label("Password").fill("wrong")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        heading = "Log in" if left > 1 else re.compile(r"Wait \d+ seconds? before you try again\.")
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    site.look(page, "wait")


def test_components(site: Site) -> None:
    """Every partial at once, for the contrast of every meaning in both themes."""
    page = site.open()
    page.goto("/accounts/login/")
    page.evaluate("html => document.getElementById('main').innerHTML = html", _gallery())
    site.look(page, "components")


def _gallery() -> str:
    part: list[str] = [
        render_to_string(
            "components/decision.html",
            {"decision": decision, "words": words, "next": "What to do next.", "plain": index > 0},
        )
        for index, (decision, words) in enumerate(
            [
                ("cataract", "Probably cataract."),
                ("normal", "No sign of cataract in this photo. Checked for cataract only."),
                ("warning", "Clinicians say: another eye problem."),
                ("ungradable", "Cannot judge this photo."),
                ("", "A clinician will review this photo."),
            ]
        )
    ]
    part.append(
        render_to_string(
            "components/decision.html", {"kind": "failure", "words": "The analysis failed.", "plain": True}
        )
    )
    kinds = ("cataract", "normal", "ungradable", "person", "failure", "good", "warning", "info")
    part.append(
        '<p class="row">'
        + "".join(render_to_string("components/badge.html", {"kind": k, "words": k}) for k in kinds)
        + "</p>"
    )
    part += [
        render_to_string("components/notice.html", {"kind": kind, "title": f"A notice: {kind}.", "text": "What to do."})
        for kind in ("info", "good", "warning", "error", "person")
    ]
    buttons = {"button--main": "Main", "button--quiet": "Quiet", "button--danger": "Danger", "": "Other"}
    part += [
        f'<button class="button {kind}">{words} <kbd class="key">1</kbd></button>' for kind, words in buttons.items()
    ]
    part.append('<button class="button" disabled>Not now</button>')
    part.append(
        render_to_string(
            "components/empty.html",
            {"title": "Nothing waits.", "text": "Come back later.", "url": "/", "action": "Start page"},
        )
    )
    page = Paginator(range(30), 10).page(2)
    part.append(
        Template('{% include "components/pagination.html" %}').render(
            RequestContext(RequestFactory().get("/"), {"page_obj": page})
        )
    )
    return "\n".join(part)
