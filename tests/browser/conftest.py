"""A real Chromium in front of a live server, and checks of what no page may do.

Every page opened here fails its test on a content security policy violation, an uncaught exception or a console error.
`CHROMIUM_PATH` names the browser (default /usr/bin/chromium). `UPDATE_SCREENSHOTS=1` writes the screenshots in docs.
"""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, FilePayload, Page, expect

from cataract.ml.synthetic import render_eye
from tests.factories import UserFactory

expect.set_options(timeout=15_000)  # a small machine may be busy

SHOTS = django_settings.BASE_DIR / "docs" / "screenshots"
WIDTHS = {360: 740, 1280: 800}
THEMES = ("light", "dark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


def drawn_eye(seed: int, *, opacity: float = 0.0, size: int = 640, **look: float | str) -> FilePayload:
    """A rendered eye as a JPEG that a page can be given: clear lens at opacity 0, mature cataract at 1."""
    file = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=opacity, size=size, **look)).save(file, "JPEG", quality=90)
    return {"name": f"eye-{seed}.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {
        "executable_path": os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium"),
        "args": ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"],
    }


# The elements that reach beyond the right edge of the page and do not scroll by themselves, as tag and classes.
_WIDE = """[...document.querySelectorAll("body *")]
    .filter((element) => !element.closest(".place, .table-wrap, .results"))
    .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((element) => `${element.tagName} ${element.className.baseVal ?? element.className}`).slice(0, 12)"""


@dataclass
class Site:
    """The live system, seen by people of each role."""

    browser: Browser
    url: str
    shots: Path
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def user(self, role: str, name: str = "") -> User:
        """The user of that name (the role's, if none), made when it is first asked for."""
        user = User.objects.filter(username=name or role).first()
        return user or UserFactory.create(username=name or role, roles=[role])

    def open(self, *, width: int = 1280, theme: str = "light", javascript: bool = True, touch: bool = False) -> Page:
        """A page of a separate, anonymous browser."""
        context = self.browser.new_context(
            viewport={"width": width, "height": WIDTHS.get(width, 800)},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=javascript,
            has_touch=touch,
            base_url=self.url,
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._listen(page, message))
        return page

    def log_in(self, role: str, name: str = "", **options: Any) -> Page:
        """A page of a user in `role`, logged in without the form (tests of the form use the form)."""
        page = self.open(**options)
        client = Client()
        client.force_login(self.user(role, name))
        cookie = django_settings.SESSION_COOKIE_NAME
        page.context.add_cookies([{"name": cookie, "value": client.cookies[cookie].value, "url": self.url}])
        return page

    def expect_complaint(self, text: str) -> None:
        """Console errors that hold `text` are right in this test (the 404 of an error page, say)."""
        self.expected.append(text)

    def _listen(self, page: Page, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in self.expected):
            self.complaints.append(f"{page.url}: {message.text} ({message.location.get('url', '')})")

    def shoot(self, page: Page, name: str) -> Path:
        """A picture of the whole page, for a person to look at. Returns its path."""
        size = page.viewport_size or {"width": 0}
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        path = self.shots / f"{name}-{size['width']}-{'dark' if dark else 'light'}.png"
        page.screenshot(path=path, full_page=True)
        return path

    def look(self, page: Page, name: str) -> None:
        """Picture, accessibility and no sideways scrolling, at every width and in both themes."""
        for theme in THEMES:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
            for width, height in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": height})
                self.shoot(page, name)
                overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert overflow <= 0, f"{name} scrolls sideways by {overflow} px at {width} px: {page.evaluate(_WIDE)}"
                # Without preload: for an @import it would write styles into the page, which the policy forbids.
                results = Axe().run(page, options={"preload": False})
                assert results.violations_count == 0, f"{name}, {width} px, {theme}: {results.generate_report()}"


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures of this run lie: SCREENSHOTS_DIR, or a folder of pytest."""
    chosen = os.environ.get("SCREENSHOTS_DIR")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def site(browser: Browser, live_server: Any, shots: Path) -> Iterator[Site]:
    site = Site(browser=browser, url=live_server.url, shots=shots)
    yield site
    for context in site.contexts:
        context.close()
    assert not site.complaints, "The browser complained:\n" + "\n".join(site.complaints)


@pytest.fixture
def keep() -> Callable[..., None]:
    """Writes a picture of the documents if UPDATE_SCREENSHOTS=1. Rendered eyes only, never a real photo.

    `phone`: a second one, 360 px wide.
    """

    def write(page: Page, name: str, *, phone: bool = False) -> None:
        if os.environ.get("UPDATE_SCREENSHOTS") != "1":
            return
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        SHOTS.mkdir(parents=True, exist_ok=True)
        for width, path in ((360, f"{name}-phone.png"), (1280, f"{name}.png")):
            if phone or width == 1280:
                page.set_viewport_size({"width": width, "height": WIDTHS[width]})
                page.screenshot(path=SHOTS / path, full_page=phone)

    return write
