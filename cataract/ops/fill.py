"""Fill an empty database with made-up rows: what a large installation looks like to a page, a query or a sweep.

For tests and measurements. The photos have no files and no patient exists. Rows are drawn in the order of the loop:
photos, predictions, cases, readings, labels. PostgreSQL takes them by COPY, a million predictions in minutes.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.core.management.color import no_style
from django.db import connection, models
from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.ml.labels import CATARACT, CLASSES, NORMAL, Decision, Reason, Route
from cataract.ops.statistics import refresh_statistics
from predictions.answering.models import Disclosure, FinalResult, Prediction
from predictions.embeddings.models import Embedding
from predictions.photos.models import Cluster, EyeImage, Split
from predictions.releases.models import Release
from predictions.sites.models import Device, Patient, Site
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue.policy import POLICY_VERSION, priority_of

FOLDER = "filled/"  # every made-up photo is stored under a name that begins so: no real one is
CHUNK = 20_000  # predictions drawn and written at a time
DAYS = 730  # the photos arrived evenly over the last two years
SITES, SCREENERS, READERS, ADJUDICATORS = 12, 24, 20, 3
DIMENSIONS = 576
PHOTOS_OF_PREDICTIONS = 0.7  # the other predictions are second answers about photos of the first
SENT_TO_REVIEW = 0.1
STILL_OPEN = 0.1  # of the cases
READ_TWICE = 0.4
ENCODER = "filled-encoder"

Rows = dict[type[models.Model], list[dict[str, Any]]]


class HoldsRealPhotos(DomainError):
    """The database holds photos that were not made up, or it serves people: it is never filled."""

    code, status = "holds_real_photos", 409


def ensure_empty() -> None:
    """Raise HoldsRealPhotos unless every stored photo is a made-up one."""
    if EyeImage.objects.exclude(stored_name__startswith=FOLDER).exists():
        raise HoldsRealPhotos("This database holds photos. Fill an empty one.")


def fill(predictions: int, *, seed: int = 0, say: Callable[[str], Any] = print) -> None:
    """Add this many predictions with their photos, cases, readings and labels. Raises HoldsRealPhotos.

    The roles must exist (`cataract.roles.ensure_roles`). The same seed draws the same rows, at times that end now.
    """
    ensure_empty()
    drawing = _Drawing(random.Random(f"fill {seed}"), _People(), predictions, timezone.now())
    written = 0
    for rows in drawing.chunks():
        for model, drawn in rows.items():
            _write(model, drawn)
        written += len(rows[Prediction])
        say(f"{written} of {predictions} predictions")
    _count_on_after_clusters()
    _refresh_statistics()


class _People:
    """The users, sites, cameras and releases that the made-up rows name."""

    def __init__(self) -> None:
        self.screeners = [_user(f"screener{number}", "screener") for number in range(SCREENERS)]
        self.readers = [_user(f"reader{number}", "reader") for number in range(READERS)]
        self.adjudicators = [_user(f"adjudicator{number}", "adjudicator") for number in range(ADJUDICATORS)]
        for role in Group.objects.exclude(name__in=["screener", "reader", "adjudicator"]):
            _user(f"{role.name}0", role.name)
        self.sites = [Site.objects.get_or_create(name=f"Clinic {number}")[0] for number in range(SITES)]
        self.devices = [Device.objects.get_or_create(site=site, name="slit lamp")[0] for site in self.sites]
        for number, screener in enumerate(self.screeners):
            self.sites[number % SITES].users.add(screener)
        self.releases = [_release("filled-1", Release.Status.RETIRED), _release("filled-2", Release.Status.CHALLENGER)]


def _user(name: str, role: str) -> int:
    user, created = User.objects.get_or_create(username=name, defaults={"is_staff": role in ("admin", "auditor")})
    if created:
        user.set_unusable_password()
        user.save()
        user.groups.add(Group.objects.get(name=role))
    return user.pk


def _release(name: str, status: str) -> str:
    champion = Release.objects.champions().values_list("encoder", flat=True).first()
    defaults = {"status": status, "manifest_sha256": "0" * 64, "encoder": champion or ENCODER}
    return Release.objects.get_or_create(pk=name, defaults=defaults)[0].pk


class _Drawing:
    """Draws the rows. `_numbers` is the only source of chance."""

    def __init__(self, numbers: random.Random, people: _People, predictions: int, now: datetime) -> None:
        self._numbers, self._people, self._now = numbers, people, now
        self._predictions = predictions
        self._first_cluster = (Cluster.objects.aggregate(last=models.Max("pk"))["last"] or 0) + 1
        self._first_patient = Patient.objects.count()
        self._patient: dict[str, Any] = {}
        self._encoder = Release.objects.get(pk=people.releases[-1]).encoder

    def chunks(self) -> Iterator[Rows]:
        """The rows in chunks, each in the order in which they may be written."""
        for start in range(0, self._predictions, CHUNK):
            rows: Rows = {model: [] for model in _ORDER}
            for number in range(start, min(start + CHUNK, self._predictions)):
                self._draw(rows, number)
            yield rows

    def _draw(self, rows: Rows, number: int) -> None:
        """One prediction with all that follows from it; a new photo for seven predictions in ten."""
        at = self._now - timedelta(days=DAYS) * (1 - (number + 1) / self._predictions)
        photo = int(number * PHOTOS_OF_PREDICTIONS)
        is_new = number == 0 or photo != int((number - 1) * PHOTOS_OF_PREDICTIONS)
        if is_new:
            self._image = self._draw_photo(rows, photo, at)
        prediction = self._draw_prediction(rows, self._image, at, is_new)
        self._disclose(rows, prediction, self._image["uploaded_by_id"], at)
        case = self._draw_case(rows, prediction, at) if prediction["needs_review"] else None
        answer = self._read(rows, case, prediction) if case is not None else ""
        if case is None or answer:
            self._draw_final_result(rows, prediction, answer, at)
        if (self._numbers.random() < 0.14 and is_new) or answer in CLASSES:
            self._draw_embedding(rows, self._image, at)

    def _draw_photo(self, rows: Rows, number: int, at: datetime) -> dict[str, Any]:
        """A photo; two in a row are of the same patient, and so of the same cluster."""
        numbers = self._numbers
        if number % 2 == 0:
            self._draw_patient(rows, number // 2, at)
        patient = self._patient
        draw = numbers.random()
        status = EyeImage.Status.TRASHED if draw < 0.002 else EyeImage.Status.KEPT
        sha256 = f"{numbers.getrandbits(256):064x}"
        image = {
            "id": self._uuid(),
            "status": status,
            "removed_at": at if status == EyeImage.Status.TRASHED else None,
            "sha256": sha256,
            "stored_sha256": sha256,
            "stored_name": f"{FOLDER}{sha256[:2]}/{sha256}.jpg",
            "format": "jpeg",
            "width": 1280,
            "height": 960,
            "size": 200_000,
            "perceptual_hash": f"{numbers.getrandbits(64):016x}",
            "site_id": patient["site_id"],
            "patient_id": patient["id"],
            "eye": EyeImage.Eye.OD if number % 2 else EyeImage.Eye.OS,
            "device_id": patient["device_id"],
            "captured_at": at,
            "quality": {"brightness": round(numbers.gauss(120, 20), 1), "sharpness": round(numbers.gauss(300, 80), 1)},
            "may_train": draw < 0.95,
            "always_read": patient["always_read"],
            "always_read_rate": 0.02 if patient["always_read"] else None,
            "cluster_id": patient["cluster_id"],
            "split": patient["split"],
            "compared_at": at,
            "withdrawn_at": at if 0.002 <= draw < 0.006 else None,
            "source": EyeImage.Source.API if number % 3 else EyeImage.Source.UPLOAD,
            "uploaded_by_id": patient["screener"],
            "created_at": at,
        }
        rows[EyeImage].append(image)
        return image

    def _draw_patient(self, rows: Rows, number: int, at: datetime) -> None:
        numbers, people = self._numbers, self._people
        site = numbers.randrange(SITES)
        split = numbers.choices([Split.TRAIN, Split.CALIBRATION, Split.TEST], [70, 15, 15])[0]
        cluster = self._first_cluster + number
        self._patient = {
            "id": self._uuid(),
            "site_id": people.sites[site].pk,
            "device_id": people.devices[site].pk,
            "screener": people.screeners[site + SITES * numbers.randrange(SCREENERS // SITES)],
            "cluster_id": cluster,
            "split": split,
            "always_read": numbers.random() < 0.02,
        }
        rows[Cluster].append({"id": cluster, "split": split, "created_at": at})
        rows[Patient].append(
            {
                "id": self._patient["id"],
                "site_id": self._patient["site_id"],
                "key": f"P-{self._first_patient + number:07d}",
                "created_at": at,
            }
        )

    def _draw_prediction(self, rows: Rows, image: dict[str, Any], at: datetime, is_new: bool) -> dict[str, Any]:
        numbers = self._numbers
        probability = round(numbers.betavariate(0.5, 1.2), 4)
        needs_review = is_new and numbers.random() < SENT_TO_REVIEW / PHOTOS_OF_PREDICTIONS
        reasons = [numbers.choice(_REASONS)] if needs_review else []
        decision = Decision.UNGRADABLE.value if numbers.random() < 0.03 else CATARACT if probability >= 0.5 else NORMAL
        prediction = {
            "id": self._uuid(),
            "image_id": image["id"],
            "status": Prediction.Status.DONE,
            "mode": Prediction.Mode.CASCADE,
            "requested_by_id": image["uploaded_by_id"],
            "created_at": at,
            "attempts": 1,
            "done_at": at + timedelta(milliseconds=90),
            "release_id": self._people.releases[at > self._now - timedelta(days=DAYS / 2)],
            "policy_version": "filled",
            "decision": decision,
            "probability": probability,
            "fast_probability": probability,
            "accurate_probability": probability if needs_review else None,
            "route": Route.BOTH if needs_review else Route.FAST,
            "needs_review": needs_review,
            "reasons": reasons,
            "review_propensity": 0.05 if reasons == [Reason.AUDIT_SAMPLE] or not reasons else 1.0,
            "timings": {"total": round(numbers.gauss(40, 8), 1)},
        }
        rows[Prediction].append(prediction)
        return prediction

    def _draw_case(self, rows: Rows, prediction: dict[str, Any], at: datetime) -> dict[str, Any]:
        numbers = self._numbers
        draw = numbers.random()
        is_open = draw < STILL_OPEN or at > self._now - timedelta(days=1)
        status = ReviewCase.Status.RESOLVED
        if is_open:
            status = numbers.choices(ReviewCase.OPEN, [80, 15, 5])[0]
        case = {
            "id": self._uuid(),
            "prediction_id": prediction["id"],
            "image_id": prediction["image_id"],
            "status": status,
            "reasons": prediction["reasons"],
            "review_propensity": prediction["review_propensity"],
            "policy_version": POLICY_VERSION,
            "priority": priority_of(prediction["reasons"]),
            "shuffle": numbers.getrandbits(31),
            "created_at": at + timedelta(seconds=20),
            "resolved_at": None if is_open else at + timedelta(hours=8),
        }
        rows[ReviewCase].append(case)
        return case

    def _read(self, rows: Rows, case: dict[str, Any], prediction: dict[str, Any]) -> str:
        """The readings of a case, and its label; returns the answer on which it was resolved, else ""."""
        numbers, status = self._numbers, case["status"]
        first, second = numbers.sample(self._people.readers, 2)
        twice = status == ReviewCase.Status.ADJUDICATION or numbers.random() < READ_TWICE
        if status == ReviewCase.Status.FIRST:
            return ""
        answers = [self._answer(prediction)]
        readings = [self._draw_reading(rows, case, first, Reading.Role.FIRST, answers[0])]
        if status == ReviewCase.Status.SECOND:
            return ""
        if twice:
            answers.append(self._answer(prediction))
            readings.append(self._draw_reading(rows, case, second, Reading.Role.SECOND, answers[1]))
        if status == ReviewCase.Status.ADJUDICATION:
            return ""
        answer = answers[0]
        if len(set(answers)) > 1:
            answer = numbers.choice(answers)
            adjudicator = numbers.choice(self._people.adjudicators)
            readings.append(self._draw_reading(rows, case, adjudicator, Reading.Role.ADJUDICATOR, answer))
        self._draw_label(rows, case, readings, answer)
        for reading in readings:
            self._disclose(rows, prediction, reading["reader_id"], reading["blind_at"])
        return answer

    def _answer(self, prediction: dict[str, Any]) -> str:
        return str(prediction["decision"]) if self._numbers.random() < 0.8 else self._numbers.choice(_ANSWERS)

    def _draw_reading(self, rows: Rows, case: dict[str, Any], reader: int, role: str, answer: str) -> dict[str, Any]:
        waited = timedelta(minutes=self._numbers.randint(1, 60) + 60 * len(role))
        at = min(case["created_at"] + waited, self._now)
        reading = {
            "id": self._uuid(),
            "case_id": case["id"],
            "reader_id": reader,
            "role": role,
            "blind_answer": answer,
            "blind_at": at,
            "blind_seconds": round(self._numbers.lognormvariate(2, 0.5), 1),
            "final_answer": answer,
            "final_at": at,
        }
        rows[Reading].append(reading)
        return reading

    def _draw_label(self, rows: Rows, case: dict[str, Any], readings: list[dict[str, Any]], answer: str) -> None:
        label = {
            "id": self._uuid(),
            "image_id": case["image_id"],
            "answer": answer,
            "provenance": Label.Provenance.ADJUDICATED if len(readings) == 3 else Label.Provenance.BLIND,
            "may_train": True,
            "case_id": case["id"],
            "weight": 1 / case["review_propensity"],
            "created_at": case["resolved_at"],
        }
        rows[Label].append(label)
        rows[Label.readings.through].extend(
            {"label_id": label["id"], "reading_id": reading["id"]} for reading in readings
        )

    def _draw_final_result(self, rows: Rows, prediction: dict[str, Any], answer: str, at: datetime) -> None:
        by_people = bool(answer)
        rows[FinalResult].append(
            {
                "prediction_id": prediction["id"],
                "answer": answer or prediction["decision"],
                "basis": FinalResult.Basis.SINGLE if by_people else FinalResult.Basis.AI,
                "status": FinalResult.Status.FINAL,
                "contradicts_ai": by_people and answer != prediction["decision"],
                "at": at + timedelta(hours=8 if by_people else 0),
            }
        )

    def _draw_embedding(self, rows: Rows, image: dict[str, Any], at: datetime) -> None:
        vector = self._numbers.randbytes(DIMENSIONS)  # of any kind, as long as each number is finite
        rows[Embedding].append(
            {
                "image_id": image["id"],
                "encoder": self._encoder,
                "vector": b"".join(bytes([0, 0, byte & 0x7F, 0x3F]) for byte in vector),
                "created_at": at,
            }
        )

    def _disclose(self, rows: Rows, prediction: dict[str, Any], user: int, at: datetime) -> None:
        rows[Disclosure].append(
            {"prediction_id": prediction["id"], "image_id": prediction["image_id"], "user_id": user, "at": at}
        )

    def _uuid(self) -> UUID:
        return UUID(int=self._numbers.getrandbits(128), version=4)


_REASONS = [Reason.UNCERTAIN, Reason.UNCERTAIN, Reason.DISAGREEMENT, Reason.QUALITY, Reason.AUDIT_SAMPLE]
_ANSWERS = [CATARACT, NORMAL, NORMAL, Decision.UNGRADABLE.value]
_ORDER = (
    Cluster, Patient, EyeImage, Prediction, FinalResult, Disclosure, Embedding, ReviewCase, Reading, Label,
    Label.readings.through,
)  # fmt: skip


# Writing --------------------------------------------------------------------------------------------------------------
def _write(model: type[models.Model], rows: list[dict[str, Any]]) -> None:
    """Store the rows, each with the same columns; the columns that they lack take the model's defaults."""
    if not rows:
        return
    if connection.vendor == "postgresql":
        _copy(model, rows)
    else:
        model._base_manager.bulk_create([model(**row) for row in rows], batch_size=500)


def _copy(model: type[models.Model], rows: list[dict[str, Any]]) -> None:
    fields = [
        field
        for field in model._meta.concrete_fields
        if field.attname in rows[0] or not (isinstance(field, models.AutoField) or field.generated)
    ]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in _prepared(fields, rows):
            copy.write_row(row)


def _prepared(fields: list[Any], rows: list[dict[str, Any]]) -> Iterable[list[Any]]:
    """The values of each row as PostgreSQL takes them: JSON as text."""
    defaults = {field.attname: field.get_default() for field in fields if field.attname not in rows[0]}
    jsons = [field.attname for field in fields if isinstance(field, models.JSONField)]
    names = [field.attname for field in fields]
    for row in rows:
        full = defaults | row
        for name in jsons:
            full[name] = json.dumps(full[name])
        yield [full[name] for name in names]


def _count_on_after_clusters() -> None:
    """Clusters were written with their numbers: let the database number the next one after them."""
    for statement in connection.ops.sequence_reset_sql(no_style(), [Cluster]):
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _refresh_statistics() -> None:
    """Tell the planner what the tables hold now: PostgreSQL would learn it after minutes only."""
    refresh_statistics()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
