"""Pages that ask again until something is finished."""

from typing import Any

from django.http import HttpRequest

_QUICK_SECONDS, _SLOW_SECONDS = 2, 10


def polling(request: HttpRequest, *, waits: bool, most: int, quick: int) -> dict[str, Any]:
    """What the template of such a page needs: `asks_again`, `polls` for its next address, and `pause` in seconds.

    waits: whether there is anything to wait for. The page asks `quick` times after a short pause and then after a long
    one; after `most` times it stops. It counts in its address (`?asked=`).
    """
    asked = request.GET.get("asked", "0")
    polls = min(int(asked), most) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 0
    return {
        "asks_again": waits and polls < most,
        "polls": polls + 1,
        "pause": _QUICK_SECONDS if polls < quick else _SLOW_SECONDS,
    }
