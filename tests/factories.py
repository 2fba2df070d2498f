"""Small makers that tests share."""

import io
from functools import cache

from django.contrib.auth.models import Group, User
from PIL import Image

from cataract.ml.synthetic import render_eye
from cataract.roles import ensure_roles

PASSWORD = "only-for-tests"


def make_user(*roles: str, name: str = "") -> User:
    """A user with these roles, named after the first."""
    ensure_roles()
    taken = User.objects.count()
    user = User.objects.create_user(name or f"{roles[0] if roles else 'nobody'}-{taken}", password=PASSWORD)
    user.groups.set(Group.objects.filter(name__in=roles))
    user.is_staff = bool({"admin", "auditor"} & set(roles))
    user.save()
    return user


@cache
def jpeg_bytes(seed: int = 1, *, opacity: float = 0.0, size: int = 320) -> bytes:
    """A rendered eye as JPEG: the same bytes for the same arguments."""
    file = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=opacity, size=size)).save(file, "JPEG", quality=92)
    return file.getvalue()
