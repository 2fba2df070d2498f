"""A compiled query finds what its queryset finds, with the values of each call, from every thread."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, connections
from django.db.models import CharField, IntegerField, QuerySet
from django.test.utils import CaptureQueriesContext

from cataract.core.compiled import Compiled, Parameter
from predictions.sites.models import Patient
from tests.factories import PatientFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_it_finds_rows_with_their_relations_by_the_values_of_each_call() -> None:
    first, second = PatientFactory.create(key="A"), PatientFactory.create(key="B")
    built: list[Any] = []

    def build() -> QuerySet[Patient]:
        built.append(1)
        return Patient.objects.select_related("site").filter(key=Parameter("key", CharField())).order_by("pk")[:1]

    query = Compiled(build)
    with CaptureQueriesContext(connection) as captured:
        found = [query.rows(key=key) for key in ("A", "B", "C", None, "' OR 1=1 --")]
        assert [row.site for rows in found for row in rows] == [first.site, second.site]
    assert found == [[first], [second], [], [], []]
    assert len(captured) == 5 and len(built) == 1


def test_it_gives_values_and_unions() -> None:
    user = UserFactory.create(roles=("integrator",))

    def build() -> QuerySet[Permission, Any]:
        own = Permission.objects.filter(user=Parameter("user", IntegerField())).order_by()
        groups = Permission.objects.filter(group__user=Parameter("user", IntegerField())).order_by()
        return own.values("codename").union(groups.values("codename"))

    found = {row["codename"] for row in Compiled(build).rows(user=user.pk)}
    assert found == {*Permission.objects.filter(group__user=user).values_list("codename", flat=True)} != set()


def test_a_value_that_is_missing_is_a_defect() -> None:
    query = Compiled(lambda: Group.objects.filter(name=Parameter("name", CharField())))
    with pytest.raises(KeyError):
        query.rows()


@pytest.mark.django_db(transaction=True)
def test_threads_share_it() -> None:
    users = [UserFactory.create() for _ in range(8)]
    query = Compiled(lambda: User.objects.filter(pk=Parameter("pk", IntegerField())))
    found: list[Any] = []

    def ask(pk: int) -> None:
        try:
            found.extend(query.rows(pk=pk) for _ in range(20))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask, args=(user.pk,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.pk for rows in found for row in rows) == sorted(user.pk for user in users for _ in range(20))
