"""Group photos that belong together (one patient, joined with near-duplicates), and give each group a permanent split.

A photo and its near-copy must never be on both sides of a split. A cluster's split is therefore decided once, by its
first photo. When a new photo joins two clusters they merge, and photos that would have to change sides are left out of
every dataset.
"""

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from cataract.ml.statistics.draws import fraction
from predictions.photos.lookalikes import near_duplicates
from predictions.photos.models import Cluster, EyeImage, Split, WrongPatientCheck
from predictions.sites.models import Patient

# When clusters of different splits merge, the first split in this list wins.
_PRECEDENCE = (Split.TEST, Split.CALIBRATION, Split.TRAIN, Split.EXCLUDED)
_ADVISORY_LOCK = 0x65796573  # serialises changes of clusters on PostgreSQL


def assign_cluster(*, sha256: str, related: Iterable[EyeImage | None], forced_split: str | None = None) -> Cluster:
    """Return the cluster of a new photo; those of its `related` photos merge, and without any it gets a new one.

    `related`: the stored photos that it nearly duplicates, and one of its patient; all photos of a patient share a
    cluster. A new cluster's split is `forced_split`, else follows from `sha256`. Call it inside the transaction that
    stores the photo, after `one_at_a_time`, and take the photo's own split from `split_of`.
    """
    joined = {photo.cluster_id: photo.cluster for photo in related if photo is not None}
    return _merge(joined.values()) if joined else Cluster.objects.create(split=forced_split or draw_split(sha256))


def move_to_patient(image: EyeImage, *, patient: Patient, hashes: Sequence[str] | None) -> list[EyeImage]:
    """Give a stored photo to another patient; return its near-duplicates, oldest first.

    It joins that patient's cluster and leaves its own, unless it nearly duplicates a photo there: then the two merge.
    A photo never changes sides: where its new cluster has another split, it is left out of every dataset. `hashes`: its
    eight dihedral hashes; None when its file is lost, and then it counts as near to all of its old cluster. Call it
    inside the transaction that records the correction.
    """
    one_at_a_time()
    old = Cluster.objects.get(images=image)
    others = _in_order(EyeImage.objects.filter(cluster=old).exclude(pk=image.pk))
    twins = [] if hashes is None else [twin for twin in near_duplicates(hashes) if twin.pk != image.pk]
    joined = _joined(others if hashes is None else twins, patient)
    cluster = _merge(joined) if joined else old
    image.refresh_from_db(fields=["split"])  # its old cluster may have merged
    if not joined and others:
        cluster = Cluster.objects.create(split=image.split)
    image.patient, image.cluster = patient, cluster
    image.split = image.split if image.split == cluster.split else Split.EXCLUDED
    if hashes is not None:
        image.near_duplicate_of = next((twin for twin in twins if twin.created_at <= image.created_at), None)
    image.compared_at = None  # the worker joins it again with the copies that no hash finds
    image.save(update_fields=["patient", "cluster", "split", "near_duplicate_of", "compared_at"])
    Cluster.objects.filter(pk=old.pk, images__isnull=True).delete()
    return twins


def join_copies(image: EyeImage, copies: Sequence[EyeImage], *, is_new: bool) -> None:
    """Put a stored photo into the cluster of its `copies`, oldest first; theirs and its own merge unless it is alone.

    A photo never changes sides: where its new cluster has another split, it is left out of every dataset. A new one, of
    which no dataset knows, takes the split of its copies instead, except that a training photo never becomes another
    (see `split_of`). Call it inside a transaction, after `one_at_a_time`.
    """
    if not copies:
        return
    image.refresh_from_db(fields=["cluster", "split", "patient", "near_duplicate_of"])
    old = image.cluster
    is_alone = not EyeImage.objects.filter(cluster=old).exclude(pk=image.pk).exists()
    joined = {copy.cluster_id: copy.cluster for copy in copies}
    if not is_alone:
        joined[old.pk] = old
    cluster = _merge(joined.values())
    image.refresh_from_db(fields=["split"])  # its old cluster may have merged
    if is_alone and is_new:
        image.split = split_of(cluster, forced_split=image.split)
    elif image.split != cluster.split:
        image.split = Split.EXCLUDED
    image.cluster = cluster
    if image.near_duplicate_of_id is None:
        image.near_duplicate_of = next((copy for copy in copies if copy.created_at <= image.created_at), None)
    image.save(update_fields=["cluster", "split", "near_duplicate_of"])
    Cluster.objects.filter(pk=old.pk, images__isnull=True).delete()
    ask_whose_photo(image, copies)


def ask_whose_photo(image: EyeImage, twins: Sequence[EyeImage]) -> None:
    """Open a check where the oldest near-duplicate of a photo that is in use belongs to another patient.

    A pair is asked about once. Call it in the transaction that stores the photo or its patient.
    """
    others = [
        twin
        for twin in twins
        if twin.patient_id
        and image.patient_id
        and twin.patient_id != image.patient_id
        and not twin.withdrawn_at
        and twin.status == EyeImage.Status.KEPT
    ]
    if others and not WrongPatientCheck.objects.filter(image=others[0], twin=image).exists():
        WrongPatientCheck.objects.get_or_create(image=image, twin=others[0])


def split_of(cluster: Cluster, *, forced_split: str | None = None) -> str:
    """The split of a new photo in `cluster`: the cluster's, or `excluded` when the photo may only be trained on.

    `forced_split="train"`: a model has already been trained on the photo or its twin.
    """
    return Split.EXCLUDED if forced_split == Split.TRAIN and cluster.split != Split.TRAIN else cluster.split


def draw_split(sha256: str) -> str:
    """The split of a new cluster, computed from the hash of its first photo; 60/20/20 by default."""
    place = fraction(f"split:{sha256}")
    for split, share in settings.SPLIT_FRACTIONS.items():
        place -= share
        if place < 0:
            return str(split)
    return Split.TRAIN


def one_at_a_time() -> None:
    """Hold the lock of all that adds or purges photos, until this transaction ends.

    Near-duplicates that arrive at once must see each other, a purge must see a new photo of the same content, and a
    new photo must see that its patient withdrew the consent. On SQLite, IMMEDIATE transactions ensure it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])


def _in_order(images: QuerySet[EyeImage]) -> list[EyeImage]:
    return list(images.order_by("created_at").select_related("cluster"))


def _joined(twins: Sequence[EyeImage], patient: Patient | None) -> list[Cluster]:
    """The clusters of these photos and of this patient, each once."""
    joined = {twin.cluster_id: twin.cluster for twin in twins}
    if patient is not None:
        joined.update((c.pk, c) for c in Cluster.objects.filter(images__patient=patient).distinct())
    return list(joined.values())


def _merge(clusters: Iterable[Cluster]) -> Cluster:
    first, *others = sorted(clusters, key=lambda c: (_PRECEDENCE.index(Split(c.split)), c.pk))
    for other in others:
        images: QuerySet[EyeImage] = EyeImage.objects.filter(cluster=other)
        if other.split != first.split:
            images.update(split=Split.EXCLUDED)
        images.update(cluster=first)
        other.delete()
    return first
