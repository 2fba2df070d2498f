"""People in front of a running system, over HTTP: each with a session, cookies and CSRF tokens like a browser's."""

import re
from typing import Any

import requests


class Person:
    """One user, logged in."""

    def __init__(self, base: str, name: str, password: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.get("/accounts/login/")
        answer = self.post("/accounts/login/", {"login": name, "password": password})
        assert "/accounts/login/" not in answer.url, f"{name} cannot log in:\n{answer.text[:2000]}"

    def choose_password(self, old: str) -> str:
        """Change the password that `setup` printed, as everybody must at first; returns the new one."""
        new = f"{old} and more"
        self.get("/accounts/password/")
        self.post("/accounts/password/", {"oldpassword": old, "password1": new, "password2": new})
        return new

    def get(self, path: str) -> requests.Response:
        answer = self.session.get(self.base + path, timeout=60)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code}\n{answer.text[:2000]}"
        return answer

    def post(
        self, path: str, data: dict[str, Any], files: dict[str, Any] | None = None, expect: int = 200
    ) -> requests.Response:
        """Send a form and follow where it leads."""
        token = next(value for name, value in self.session.cookies.items() if name.startswith("csrf"))
        form = {**data, "csrfmiddlewaretoken": token}
        answer = self.session.post(self.base + path, data=form, files=files, timeout=60)
        assert answer.status_code == expect, f"POST {path}: {answer.status_code}\n{_text(answer)}"
        return answer


def _text(answer: requests.Response) -> str:
    """What a person would read on the page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))[:3000]
