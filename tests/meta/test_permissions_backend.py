"""Permissions are the same as Django's own backend reads, in one query."""

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Permission, User

from cataract.core.permissions import PermissionsBackend
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_those_of_the_user_and_of_all_groups_in_one_query(django_assert_num_queries: Any) -> None:
    made = UserFactory.create(roles=("screener", "reader"))
    made.user_permissions.add(Permission.objects.get(codename="add_group"))
    user, same = User.objects.get(pk=made.pk), User.objects.get(pk=made.pk)
    with django_assert_num_queries(1):
        found = PermissionsBackend().get_all_permissions(user)
        assert user.has_perm("auth.add_group") and user.has_perm("predictions.add_eyeimage")
        assert not user.has_perm("auth.delete_user")
    assert found == ModelBackend().get_all_permissions(same) and len(found) > 2


def test_nobody_else_gets_any() -> None:
    backend = PermissionsBackend()
    user = UserFactory.create(roles=("screener",))
    assert backend.get_all_permissions(user, obj=user) == set()
    user.is_active = False
    assert backend.get_all_permissions(user) == set() == backend.get_all_permissions(AnonymousUser())
    chief = UserFactory.create(is_superuser=True)
    assert backend.get_all_permissions(chief) == ModelBackend().get_all_permissions(chief)
