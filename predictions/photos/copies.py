"""Copies of a photo among all stored ones: looked up by their visual words, then compared picture by picture.

The words are rows with an index, so a search reads a few hundred index entries, nothing is kept in memory, and the
words of a photo leave with it.
"""

from django.db.models import Count

from cataract.ml.photos.copies import (
    MIN_SHARED,
    MOST_CANDIDATES,
    SIDE,
    Picture,
    picture_of,
    same_picture,
    visual_words,
    words_to_search,
)
from cataract.ml.photos.images import decode
from cataract.ml.photos.refusals import PhotoRefused
from predictions.photos import storage
from predictions.photos.models import EyeImage, VisualWord


def read_picture(image: EyeImage) -> Picture | None:
    """The key points of a stored photo; None when its file is lost or cannot be read."""
    try:
        return picture_of(decode(storage.read(image.stored_name), min_side=SIDE))
    except (OSError, PhotoRefused):
        return None


def remember(image: EyeImage, picture: Picture) -> None:
    """Store the words of a photo, so that later ones find it. Repeating changes nothing."""
    rows = [VisualWord(image=image, word=word) for word in visual_words(picture)]
    VisualWord.objects.bulk_create(rows, ignore_conflicts=True)


def find_copies(image: EyeImage, picture: Picture) -> list[EyeImage]:
    """The stored photos that show the same picture, oldest first; purged ones are never among them."""
    shared = VisualWord.objects.filter(word__in=words_to_search(picture)).exclude(image=image)
    ranked = (
        shared.values("image").annotate(count=Count("pk")).filter(count__gte=MIN_SHARED).order_by("-count", "image")
    )
    ids = [row["image"] for row in ranked[:MOST_CANDIDATES]]
    candidates = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(pk__in=ids).order_by("created_at")
    return [photo for photo in candidates if _shows(photo, picture)]


def _shows(photo: EyeImage, picture: Picture) -> bool:
    other = read_picture(photo)
    return other is not None and same_picture(picture, other)
