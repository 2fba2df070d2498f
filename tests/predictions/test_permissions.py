"""Who may call what: every role, every URL, every method. A URL that is not listed here fails the test.

The requests name rows that do not exist, so a 404 means "allowed". Which rows a user sees is tested elsewhere.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from cataract.core import tokens
from cataract.core.models import ApiToken
from cataract.roles import ROLES
from tests.factories import UserFactory

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
VALUES = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "str": "nothing",
    "photo_kind": "thumb",
    "int": "0",
    "deletionact": "restore",
}
EVERYBODY = frozenset({*ROLES, "anonymous", "nobody", "suspended"})
SIGNED_IN = EVERYBODY - {"anonymous", "suspended"}
UPLOADERS = frozenset({"admin", "integrator", "screener"})
READERS = frozenset({"adjudicator", "reader"})
COUNTERS = frozenset({"adjudicator", "admin", "auditor"})
WATCHERS = frozenset({"admin", "auditor", "integrator"})
LOOKERS = frozenset({"admin", "auditor"})
INTEGRATORS = frozenset({"admin", "integrator"})
OVERSEERS = frozenset({"admin", "auditor", "manager"})
ADMINS = frozenset({"admin"})
ADJUDICATORS = frozenset({"adjudicator"})

# address: method: (who may ask, the scope that a key needs)
TABLE: dict[str, dict[str, tuple[frozenset[str], str]]] = {
    "": {"GET": (SIGNED_IN - {"nobody"}, "")},
    "search/": {"GET": (SIGNED_IN, "")},
    "upload/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "uploads/": {"GET": (SIGNED_IN, "")},
    "uploads/seen/": {"POST": (SIGNED_IN, "")},
    "uploads/mail/": {"POST": (SIGNED_IN, "")},
    "uploads/filters/": {"POST": (SIGNED_IN, "")},
    "uploads/filters/<uuid:filter_id>/": {"GET": (SIGNED_IN, "")},
    "uploads/filters/<uuid:filter_id>/delete/": {"POST": (SIGNED_IN, "")},
    "results/<uuid:prediction_id>/": {"GET": (SIGNED_IN, "")},
    "patients/": {"GET": (SIGNED_IN, "")},
    "patients/<uuid:patient_id>/": {"GET": (SIGNED_IN, "")},
    "patients/<uuid:patient_id>/result/": {"GET": (SIGNED_IN, "")},
    "patients/<uuid:patient_id>/result.pdf": {"GET": (SIGNED_IN, "")},
    "patients/<uuid:patient_id>/referral/": {"GET": (SIGNED_IN, "")},
    "patients/<uuid:patient_id>/referral.pdf": {"GET": (SIGNED_IN, "")},
    "results/<uuid:prediction_id>/correct/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "corrections/": {"GET": (UPLOADERS, "")},
    "corrections/<uuid:check_id>/": {"POST": (UPLOADERS, "")},
    "batches/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "batches/<uuid:batch_id>/": {"GET": (SIGNED_IN, "")},
    "batches/<uuid:batch_id>/cancel/": {"POST": (UPLOADERS, "")},
    "batches/<uuid:batch_id>/resume/": {"POST": (UPLOADERS, "")},
    "batches/<uuid:batch_id>/retry/": {"POST": (UPLOADERS, "")},
    "batches/<uuid:batch_id>/results.csv": {"GET": (SIGNED_IN, "")},
    "photos/<uuid:image_id>/<photo_kind:kind>/": {"GET": (SIGNED_IN, "")},
    "consent/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "safety-switch/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "safety-switch/<int:stop_id>/on/": {"POST": (ADMINS, "")},
    "deletions/": {"GET": (UPLOADERS, "")},
    "deletions/new/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "deletions/<uuid:deletion_id>/<deletionact:act>/": {"POST": (UPLOADERS, "")},
    "metrics": {"GET": (WATCHERS, "read")},
    "training/lineage/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "training/labels/": {"GET": (LOOKERS, "")},
    "training/encoders/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "training/imports/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "training/imports/<uuid:import_id>/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "training/timeline/": {"GET": (LOOKERS, "")},
    "training/releases/<str:release_id>/photos/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "review/": {"GET": (READERS, "")},
    "review/agreement/": {"GET": (COUNTERS, "")},
    "review/acceptance/": {"GET": (UPLOADERS | LOOKERS, "")},
    "review/acceptance/decide/": {"POST": (ADMINS, "")},
    "review/acceptance/count/": {"POST": (ADMINS, "")},
    "review/drift/": {"GET": (OVERSEERS, "")},
    "review/drift/<uuid:pk>/": {"GET": (OVERSEERS, "")},
    "review/drift/<uuid:pk>/restart/": {"POST": (ADMINS, "")},
    "review/practice/": {"GET": (READERS | ADMINS, "")},
    "review/practice/start/": {"POST": (READERS, "")},
    "review/practice/cases/": {"GET": (ADMINS, ""), "POST": (ADMINS, "")},
    "review/practice/instructions/": {"GET": (ADMINS, ""), "POST": (ADMINS, "")},
    "review/practice/<uuid:pk>/": {"GET": (READERS, ""), "POST": (READERS, "")},
    "review/practice/<uuid:pk>/<int:number>/photo/": {"GET": (READERS, "")},
    "review/readers/": {"GET": (ADMINS, "")},
    "review/readers/<int:pk>/lift/": {"POST": (ADMINS, "")},
    "review/yours/": {"GET": (READERS, "")},
    "review/yours/<uuid:pk>/photo/": {"GET": (READERS, "")},
    "review/yours/notes/<uuid:pk>/": {"GET": (READERS, "")},
    "review/labels/export/": {"GET": (COUNTERS, "")},
    "review/labels/export/photos/": {"GET": (ADMINS, "")},
    "review/worklist/": {"GET": (COUNTERS | READERS | OVERSEERS, ""), "POST": (ADMINS, "")},
    "audit/": {"GET": (LOOKERS, "")},
    "overview/": {"GET": (OVERSEERS, "")},
    "overview/month/": {"GET": (OVERSEERS, "")},
    "overview/month/<str:name>/": {"GET": (OVERSEERS, "")},
    "overview/month/<str:name>/pdf/": {"GET": (OVERSEERS, "")},
    "overview/month/<str:name>/csv/": {"GET": (OVERSEERS, "")},
    "status/": {"GET": (ADMINS, "")},
    "status/photos/retry/": {"POST": (ADMINS, "")},
    "status/runs/<uuid:pk>/resume/": {"POST": (ADMINS, "")},
    "status/accounts/<int:pk>/let-in/": {"POST": (ADMINS, "")},
    "status/doctor/": {"POST": (ADMINS, "")},
    "notices/": {"GET": (ADMINS, "")},
    "notices/seen/": {"POST": (ADMINS, "")},
    "notices/<uuid:pk>/seen/": {"POST": (ADMINS, "")},
    "notices/<uuid:pk>/own/": {"POST": (ADMINS, "")},
    "review/look-backs/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "review/look-backs/cleared-wrongly/": {"GET": (LOOKERS, ""), "POST": (ADMINS, "")},
    "review/look-backs/<uuid:pk>/": {"GET": (LOOKERS, ""), "POST": (LOOKERS, "")},
    "review/look-backs/<uuid:pk>/cancel/": {"POST": (ADMINS, "")},
    "review/look-backs/<uuid:pk>/answers.csv": {"GET": (LOOKERS, "")},
    "review/outcomes/": {"GET": (UPLOADERS | LOOKERS, "")},
    "review/outcomes/new/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "review/outcomes/import/": {"GET": (UPLOADERS, ""), "POST": (UPLOADERS, "")},
    "review/next/": {"POST": (READERS, "")},
    "review/undo/": {"POST": (READERS, "")},
    "review/keys/": {"GET": (READERS, ""), "POST": (READERS, "")},
    "review/request/<uuid:prediction>/": {"POST": (SIGNED_IN, "")},
    "review/cases/<uuid:pk>/": {"GET": (READERS, ""), "POST": (READERS, "")},
    "review/cases/<uuid:pk>/photo/": {"GET": (SIGNED_IN, "")},
    "review/cases/<uuid:pk>/heat/": {"GET": (SIGNED_IN, "")},
    "review/cases/<uuid:pk>/photos/<uuid:image>/": {"GET": (SIGNED_IN, "")},
    "review/cases/<uuid:pk>/ahead/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/amend/": {"GET": (ADJUDICATORS, ""), "POST": (ADJUDICATORS, "")},
    "review/cases/<uuid:pk>/claim/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/skip/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/renew/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/draft/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/pupil/": {"GET": (SIGNED_IN, "")},
    "review/cases/<uuid:pk>/ask/": {"POST": (READERS, "")},
    "review/concerns/": {"GET": (ADMINS, "")},
    "review/concerns/<int:pk>/settle/": {"POST": (ADMINS, "")},
    "review/view/": {"POST": (READERS, "")},
    "review/cases/<uuid:pk>/leave/": {"POST": (READERS, "")},
    "api/v1/predictions": {"GET": (SIGNED_IN, "read"), "POST": (UPLOADERS, "upload")},
    "api/v1/predictions/<uuid:prediction_id>": {"GET": (SIGNED_IN, "read")},
    "api/v1/predictions/<uuid:prediction_id>/explanation": {"GET": (SIGNED_IN, "read")},
    "api/v1/predictions/<uuid:prediction_id>/fhir": {"GET": (SIGNED_IN, "read")},
    "api/v1/patients": {"GET": (SIGNED_IN, "read")},
    "api/v1/patients/<uuid:patient_id>": {"GET": (SIGNED_IN, "read")},
    "api/v1/predictions/<uuid:prediction_id>/corrections": {
        "GET": (SIGNED_IN, "read"),
        "POST": (UPLOADERS, "upload"),
    },
    "api/v1/sites": {"GET": (UPLOADERS, "upload")},
    "api/v1/devices": {"GET": (UPLOADERS, "upload")},
    "api/v1/predictions/<uuid:prediction_id>/consent": {"POST": (UPLOADERS, "upload")},
    "api/v1/patients/<uuid:patient_id>/consent": {"POST": (UPLOADERS, "upload")},
    "api/v1/deletions": {"GET": (UPLOADERS, "admin"), "POST": (UPLOADERS, "admin")},
    "api/v1/deletions/<uuid:deletion_id>/confirm": {"POST": (ADMINS, "admin")},
    "api/v1/deletions/<uuid:deletion_id>/cancel": {"POST": (UPLOADERS, "admin")},
    "api/v1/deletions/<uuid:deletion_id>/restore": {"POST": (UPLOADERS, "admin")},
    "api/v1/deletions/<uuid:deletion_id>/purge": {"POST": (ADMINS, "admin")},
    "api/v1/legal-holds": {"GET": (ADMINS, "admin"), "POST": (ADMINS, "admin")},
    "api/v1/legal-holds/<int:hold_id>/lift": {"POST": (ADMINS, "admin")},
    "api/v1/lineage": {"GET": (LOOKERS, "admin")},
    "api/v1/lineage/retrain": {"POST": (ADMINS, "admin")},
    "api/v1/batches": {"GET": (SIGNED_IN, "read"), "POST": (UPLOADERS, "upload")},
    "api/v1/batches/<uuid:batch_id>": {"GET": (SIGNED_IN, "read")},
    "api/v1/batches/<uuid:batch_id>/cancel": {"POST": (UPLOADERS, "upload")},
    "api/v1/batches/<uuid:batch_id>/resume": {"POST": (UPLOADERS, "upload")},
    "api/v1/batches/<uuid:batch_id>/results": {"GET": (SIGNED_IN, "read")},
    "api/v1/batches/<uuid:batch_id>/results.csv": {"GET": (SIGNED_IN, "read")},
    "api/v1/releases": {"GET": (WATCHERS, "read")},
    "api/v1/health/live": {"GET": (EVERYBODY, "")},
    "api/v1/health/ready": {"GET": (EVERYBODY, "")},
    "api/v1/system": {"GET": (WATCHERS, "read")},
    "api/v1/drift": {"GET": (WATCHERS, "read")},
    "api/v1/acceptance": {"GET": (UPLOADERS | LOOKERS, "read")},
    "api/v1/webhooks": {"GET": (INTEGRATORS, "upload"), "POST": (INTEGRATORS, "upload")},
    "api/v1/webhooks/<uuid:endpoint_id>": {"DELETE": (INTEGRATORS, "upload")},
    "api/v1/webhook-deliveries": {"GET": (INTEGRATORS, "upload")},
    "api/v1/webhook-deliveries/<uuid:delivery_id>/redeliver": {"POST": (INTEGRATORS, "upload")},
    "api/v1/schema/": {"GET": (EVERYBODY, "")},
    "api/v1/docs/": {"GET": (EVERYBODY, "")},
    "api/v1/predictions/<uuid:prediction_id>/similar": {"GET": (SIGNED_IN, "read")},
    "api/v1/outcomes": {"GET": (UPLOADERS | LOOKERS, "read"), "POST": (UPLOADERS, "upload")},
    "api/v1/review/queue": {"GET": (READERS, "review")},
    "api/v1/review/next": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>": {"GET": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/photo": {"GET": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/answer": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/amend": {"POST": (ADJUDICATORS, "review")},
    "api/v1/review/cases/<uuid:pk>/reopen": {"POST": (ADJUDICATORS, "review")},
    "api/v1/review/cases/<uuid:pk>/claim": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/renew": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/release": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/skip": {"POST": (READERS, "review")},
    "api/v1/review/cases/<uuid:pk>/undo": {"POST": (READERS, "review")},
    "api/v1/training-runs": {"GET": (LOOKERS, "admin"), "POST": (ADMINS, "admin")},
    "api/v1/training-runs/<uuid:run_id>": {"GET": (LOOKERS, "admin")},
    "api/v1/live-tests": {"GET": (LOOKERS, "admin"), "POST": (ADMINS, "admin")},
    "api/v1/live-tests/<uuid:test_id>": {"GET": (LOOKERS, "admin")},
    "api/v1/live-tests/<uuid:test_id>/stop": {"POST": (ADMINS, "admin")},
    "api/v1/releases/rollback": {"POST": (ADMINS, "admin")},
    "api/v1/releases/<str:release_id>/confirm": {"POST": (ADMINS, "admin")},
    "api/v1/releases/<str:release_id>/evidence.pdf": {"GET": (LOOKERS, "admin")},
    "api/v1/releases/<str:release_id>/promote": {"POST": (ADMINS, "admin")},
    "api/v1/releases/<str:release_id>/reject": {"POST": (ADMINS, "admin")},
    "accounts/login/": {"GET": (EVERYBODY, ""), "POST": (EVERYBODY, "")},
    "accounts/logout/": {"POST": (EVERYBODY, "")},
    "accounts/inactive/": {"GET": (EVERYBODY, "")},
    "accounts/": {"GET": (SIGNED_IN, "")},
    "accounts/password/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/sessions/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/sessions/<int:pk>/end/": {"POST": (SIGNED_IN, "")},
    "accounts/reauthenticate/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/": {"GET": (SIGNED_IN, "")},
    "accounts/second-factor/code/": {"GET": (EVERYBODY, ""), "POST": (EVERYBODY, "")},  # leads to the first step
    "accounts/second-factor/confirm/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/app/add/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/app/remove/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/recovery-codes/": {"GET": (SIGNED_IN, "")},
    "accounts/second-factor/recovery-codes/new/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/passkeys/": {"GET": (SIGNED_IN, "")},
    "accounts/second-factor/passkeys/add/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/passkeys/login/": {"GET": (EVERYBODY, ""), "POST": (EVERYBODY, "")},
    "accounts/second-factor/passkeys/confirm/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/passkeys/<int:pk>/edit/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/second-factor/passkeys/<int:pk>/remove/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
    "accounts/sign-on/<str:provider_id>/": {"POST": (EVERYBODY, "")},  # 404: no provider is set
    "accounts/sign-on/<str:provider_id>/back/": {"GET": (EVERYBODY, "")},
    "accounts/sign-on-confirm/": {"GET": (SIGNED_IN, "")},
    "accounts/sign-on-logout/": {"POST": (EVERYBODY, "")},
    "accounts/keys/": {"GET": (SIGNED_IN, ""), "POST": (READERS, "")},
    "accounts/keys/<int:pk>/revoke/": {"POST": (SIGNED_IN, "")},
    "accounts/mlflow/": {"GET": (ADMINS, "")},
    "accounts/stay/": {"POST": (SIGNED_IN, "")},
    "accounts/kept/": {"GET": (SIGNED_IN, ""), "POST": (SIGNED_IN, "")},
}


def routes() -> dict[str, str]:
    """Every address of the system with its arguments filled in, the admin's left to its own test."""
    return {route: address for route, address in _walk(get_resolver(), "") if not route.startswith("admin/")}


def listed() -> list[tuple[str, str]]:
    """Those that stand in the table; that all do is a test of its own."""
    return [(route, address) for route, address in routes().items() if route in TABLE]


def _walk(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, route)
        else:
            assert isinstance(pattern, URLPattern)
            address = route
            for name, converter in pattern.pattern.converters.items():
                kind = type(converter).__name__.removesuffix("Converter").lower().replace("photokind", "photo_kind")
                address = address.replace(f"<{kind}:{name}>", VALUES.get(kind, VALUES["str"]))
                address = address.replace(f"<{name}>", VALUES["str"])
            yield route, "/" + address


def client_of(role: str) -> Client:
    client = Client()
    if role != "anonymous":
        user = UserFactory.create(roles=[role] if role in ROLES else ["admin"] if role == "suspended" else [])
        client.force_login(user)
        User.objects.filter(pk=user.pk).update(is_active=role != "suspended")
    return client


def ask(client: Client, method: str, address: str) -> str:
    """denied, missing (there is no such method), or allowed."""
    answer = client.generic(method, address)
    if answer.status_code in (401, 403) or (
        answer.status_code == 302 and "/accounts/login/?next=" in answer["Location"]
    ):
        return "denied"
    assert answer.status_code < 500, f"{method} {address}: {answer.status_code}"
    return "missing" if answer.status_code == 405 else "allowed"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of refusals are expected here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_every_address_is_listed() -> None:
    found = set(routes())
    assert found == set(TABLE), f"not listed: {sorted(found - set(TABLE))}; gone: {sorted(set(TABLE) - found)}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db
def test_who_may_call_what(champion: Any) -> None:
    """Listed methods are asked by everybody; others by those with the most rights, and by strangers."""
    clients = {role: client_of(role) for role in sorted(EVERYBODY)}
    wrong = []
    for route, address in listed():
        for method in METHODS:
            allowed, _ = TABLE[route].get(method, (frozenset(), ""))
            for role in sorted(EVERYBODY if method in TABLE[route] else {"admin", "screener", "anonymous"}):
                says = ask(client_of(role) if "logout" in route else clients[role], method, address)
                if (says == "allowed") != (role in allowed):
                    wrong.append(f"{method} {address}: {role} is {says}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.django_db
def test_a_key_opens_only_its_scope(champion: Any) -> None:
    """A user with every role, one key with the scope that is needed, one with all others."""
    user = UserFactory.create(roles=ROLES)
    scopes = set(ApiToken.Scope.values)

    def client_with(chosen: set[str]) -> Client:
        _, key = tokens.create_token(user=user, name="test", scopes=sorted(chosen), days=1)
        return Client(headers={"Authorization": f"Bearer {key}"})

    clients = {scope: (client_with({scope}), client_with(scopes - {scope})) for scope in scopes}
    for route, address in listed():
        for method, (_, scope) in TABLE[route].items():
            if not scope:
                continue
            enough, without = clients[scope]
            assert ask(enough, method, address) == "allowed", f"{method} {address} with {scope}"
            assert ask(without, method, address) == "denied", f"{method} {address} without {scope}"


@pytest.mark.django_db
def test_keys_open_no_page() -> None:
    """Pages take sessions and ignore API keys. Prometheus has a key."""
    user = UserFactory.create(roles=ROLES)
    _, key = tokens.create_token(user=user, name="test", scopes=ApiToken.Scope.values, days=1)
    client = Client(headers={"Authorization": f"Bearer {key}"})
    for route, address in listed():
        if not route.startswith(("api/", "accounts/", "metrics")):
            assert ask(client, next(iter(TABLE[route])), address) == "denied", address


@pytest.mark.django_db
def test_the_admin_is_for_staff() -> None:
    """Every admin URL sends users who are not staff to its login."""
    addresses = {
        "/" + address.removeprefix("/") for route, address in _walk(get_resolver(), "") if "admin/" in route[:6]
    }
    assert len(addresses) > 40
    for client in (client_of(role) for role in ("anonymous", "screener", "reader", "integrator")):
        for address in sorted(addresses - {"/admin/login/", "/admin/logout/", "/admin/password_change/"}):
            if "(?P<" in address:
                continue  # the catch-all
            answer = client.get(address)
            assert answer.status_code in (302, 404), address
            assert answer.status_code == 404 or "/admin/login/" in answer["Location"], address
