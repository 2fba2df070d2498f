"""The table of bad input over the API and the upload form: each row its own answer, and nothing stored but on 201.

The rows of single files are those of tests/ml/test_bad_input.py. docs/bad-input.md explains surprising answers.
"""

import io
import json
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.core.cache import cache
from django.test import Client
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from cataract.core import tokens
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.photos.multipart import Utf8Headers
from predictions.photos.refusals import BadPhoto
from tests import photos
from tests.factories import UserFactory, jpeg_bytes
from tests.ml.test_bad_input import ACCEPTED, JPEG, PNG, REFUSED, take
from tests.multipart import CONTENT_TYPE, multipart_body

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:Corrupt EXIF")]
API, PAGE = "/api/v1/predictions", "/upload/"
CANARY = "CANARY-7F3"
Files = Sequence[tuple[str, bytes]]


@pytest.fixture(autouse=True)
def guarded(settings: Any) -> Iterator[None]:
    """As in production, photos are read in a decoder process. Each test starts with fresh rate limits."""
    settings.DECODER_PROCESSES = 1
    cache.clear()
    yield


class Sender:
    """A user who sends a photo, through the API or the form."""

    def __init__(self, place: str) -> None:
        self.place, self.user = place, UserFactory.create(roles=["integrator" if place == API else "screener"])
        self.client = Client()
        if place == API:
            _, key = tokens.create_token(user=self.user, name="test", scopes=["upload", "read"], days=1)
            self.client = Client(headers={"Authorization": f"Bearer {key}"})
        else:
            self.client.force_login(self.user)

    def send(self, *files: tuple[str, bytes], fields: Any = None, **extra: Any) -> Any:
        usual = [("eye", "OD")]
        if self.place == API:
            usual.append(("patient", "P-1"))
        else:
            usual += [("patient_key", "P-1"), ("key", str(uuid.uuid4()))]
        data = multipart_body(usual if fields is None else fields, files)
        return self.client.post(self.place, data, content_type=CONTENT_TYPE, **extra)


@pytest.fixture
def api() -> Sender:
    return Sender(API)


TEXT = b"C\0\0" + zlib.compress(b"\0" * 20_000_000)
BROKEN: list[tuple[str, Callable[[], bytes], str, int, str]] = [
    ("B05 without EOI", lambda: JPEG[:-2], "a.jpg", 422, "image_truncated"),
    ("B32 text", lambda: photos.with_png_chunk(PNG, b"zTXt", TEXT), "", 422, "image_corrupt"),
]


def nothing_is_stored(settings: Any) -> bool:
    kept = [path for path in Path(settings.PHOTO_DIR).rglob("*") if path.is_file()]
    return not EyeImage.objects.exists() and not Prediction.objects.exists() and not kept


ROWS = [pytest.param(*row[1:], id=row[0]) for row in REFUSED + BROKEN]


# Files that are refused -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [API, PAGE])
@pytest.mark.parametrize(("make", "name", "status", "code"), ROWS)
def test_refused(place: str, make: Callable[[], bytes], name: str, status: int, code: str, settings: Any) -> None:
    data = make()
    answer = Sender(place).send((name or "blob", data))
    assert answer.status_code == status, answer.content[:300]
    if place == API:
        problem = answer.json()
        assert (problem["code"], problem["field"], problem["status"]) == (code, "photo", status)
        assert answer["Content-Type"] == "application/problem+json" and problem["detail"].endswith(".")
    else:
        page = answer.content.decode()
        with pytest.raises(PhotoRefused) as refused:
            take(data)
        assert escape(BadPhoto(refused.value).message) in page
        assert 'id="photo-error"' in page and 'aria-describedby="photo-help photo-error"' in page
        assert 'value="P-1"' in page
    assert nothing_is_stored(settings)


def test_every_code_has_a_status_and_a_sentence() -> None:
    facts: dict[str, Any] = {"limit": 32, "size": 1, "width": 1, "height": 1}
    for code in RefusalCode:
        refused = BadPhoto(PhotoRefused(code, **facts))
        assert refused.code == code and refused.status in (400, 413, 415, 422) and refused.field == "photo"
        assert refused.message.endswith(".") and "{" not in refused.message


# Files that are taken -------------------------------------------------------------------------------------------------
def as_png(pixels: Any) -> bytes:
    return photos.encode(pixels, "PNG")


TAKEN: list[tuple[str, Callable[[], bytes], str]] = [
    *(row for row in ACCEPTED if row[0] != "B70 long name"),
    ("B41 16 bit", lambda: as_png(Image.fromarray(photos.eye()[:, :, 0].astype(np.uint16) * 257)), ""),
    ("B42 CMYK", lambda: photos.encode(Image.fromarray(photos.eye()).convert("CMYK")), ""),
    ("B44 palette", lambda: as_png(Image.fromarray(photos.eye()).quantize(64)), ""),
    ("B28 DICOM", lambda: photos.dicom(photos.eye()), "a.dcm"),
    ("B28 DICOM with a JPEG inside, renamed", lambda: photos.dicom(photos.eye(), photos.DICOM_JPEG), "a.jpg"),
    ("B50 canary in a maker note", lambda: photos.with_jpeg_segment(JPEG, 0xED, b"Photoshop 3.0\0CANARY-7F3"), ""),
    ("B50 canary in eXIf", lambda: photos.with_png_chunk(PNG, b"eXIf", photos.exif(3, artist=CANARY)[6:]), ""),
]


@pytest.mark.parametrize(("make", "name"), [pytest.param(*row[1:], id=row[0]) for row in TAKEN])
def test_taken_and_clean(api: Sender, make: Callable[[], bytes], name: str, settings: Any) -> None:
    """201; and what a file carries besides its pixels is in no file, no row and no answer."""
    answer = api.send((name or "blob", make()))
    assert answer.status_code == 201, answer.content[:300]
    image = EyeImage.objects.get()
    Client().force_login(api.user)
    api.client.force_login(api.user)
    for kind in ("view", "thumb"):
        shown = api.client.get(f"/photos/{image.pk}/{kind}/")
        assert shown["Content-Type"] == "image/jpeg" and shown["X-Content-Type-Options"] == "nosniff"
        assert shown["Content-Security-Policy"] == "default-src 'none'; sandbox"
    stored = [path.read_bytes() for path in Path(settings.PHOTO_DIR).rglob("*") if path.is_file()]
    rows = [repr(list(model._default_manager.values_list())) for model in apps.get_models()]
    assert len(stored) == 3 and not any(b"CANARY" in data for data in stored)
    assert "CANARY" not in "".join(rows) + answer.content.decode()
    outside = {path.relative_to(settings.DATA_DIR).parts[0] for path in Path(settings.DATA_DIR).rglob("*")}
    assert outside <= {"photos", "releases"}


def test_b28_the_eye_of_a_dicom_file_counts_and_may_not_be_contradicted(api: Sender, settings: Any) -> None:
    left = photos.dicom(photos.eye(), ImageLaterality="L", ManufacturerModelName="Slit 1")
    answer = api.send(("a.dcm", left))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "eye_mismatch", "eye")
    assert Sender(PAGE).send(("a.dcm", left)).status_code == 422 and nothing_is_stored(settings)
    services.upload_photo(user=None, data=left, name="a.dcm", source="command", facts=PhotoFacts(patient_key="P-1"))
    image = EyeImage.objects.get()
    assert (image.eye, image.format, image.capture["model"]) == ("OS", "DICOM", "Slit 1")
    assert image.stored_name.endswith(".png")


NAMES = [
    ("B68 path", "../../etc/passwd.jpg", "passwd.jpg"),
    ("B68 Windows path", "C:\\a\\b.jpg", "b.jpg"),
    ("B68 absolute", "/abs.jpg", "abs.jpg"),
    ("B69 NUL", "a\x00b.jpg", "ab.jpg"),
    ("B70 long", "x" * 900 + ".jpg", "x" * 100),
    ("B70 longer than a header", "x" * 4096 + ".jpg", None),
    ("B71 bidi", "photo\u202egpj.jpg", "photogpj.jpg"),
    ("B72 emoji and NFD", "\U0001f441 e\u0301.jpg", "\U0001f441 \u00e9.jpg"),
    ("B72 lone surrogate", "a\ud800b.jpg", None),
    ("B73 markup", "<img src=x onerror=alert(1)>.jpg", None),
    ("B74 formula", "=cmd|'/c calc'!A1.jpg", None),
    ("B75 CR LF", "a\r\nX-Evil: 1.jpg", None),
    ("B71 bidi and another ending", "photo\u202egpj.exe", "photogpj.exe"),
    ("B76 device name", "CON.jpg", "CON.jpg"),
    ("B76 the eye after a point", "P17.OD", "P17.OD"),
]


@pytest.mark.parametrize(("name", "label"), [pytest.param(*row[1:], id=row[0]) for row in NAMES])
def test_a_name_is_only_a_label(api: Sender, name: str, label: str | None, settings: Any) -> None:
    answer = api.send((name, JPEG))
    assert answer.status_code in ((201,) if label else (201, 400)), answer.content[:300]
    if answer.status_code == 201:
        image = EyeImage.objects.get()
        assert image.original_name.isprintable() and len(image.original_name) <= 100
        assert label in (None, image.original_name)
        assert image.stored_name.endswith(".jpg") and image.stored_sha256 in image.stored_name
        api.client.force_login(UserFactory.create(roles=["admin"]))
        original = api.client.get(f"/photos/{image.pk}/original/")
        assert original["Content-Disposition"] == f'attachment; filename="{image.pk}.jpg"'
        assert b"<img src=x" not in api.client.get(f"/results/{answer.json()['id']}/").content


# Requests -------------------------------------------------------------------------------------------------------------
def usual(*more: tuple[str, str], patient: str = "P-1", eye: str = "OD") -> list[tuple[str, str]]:
    return [("patient", patient), ("eye", eye), *more]


ONE = ("a.jpg", JPEG)
REQUESTS: list[tuple[str, Callable[[Sender], Any], int, str]] = [
    ("B01 no file", lambda s: s.send(), 400, "file_required"),
    ("B12 10 GB", lambda s: s.send(ONE, CONTENT_LENGTH="10000000000"), 413, "request_too_large"),
    (
        "B13 no length",
        lambda s: s.send(ONE, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked"),
        411,
        "length_required",
    ),
    (
        "B14 broken boundary",
        lambda s: s.client.post(API, b"--x\r\n", content_type="multipart/form-data; boundary="),
        400,
        "parse_error",
    ),
    ("B15 gzip", lambda s: s.send(ONE, HTTP_CONTENT_ENCODING="gzip"), 415, "content_encoding"),
    ("B84 two files", lambda s: s.send(ONE, ("b.jpg", PNG)), 400, "too_many_files"),
    ("B85 address", lambda s: s.send(fields=usual(("image_url", "http://169.254.169.254/"))), 400, "file_required"),
    (
        "B86 data URL",
        lambda s: s.client.post(API, {"photo": "data:image/jpeg;base64,/9j/"}, content_type="application/json"),
        415,
        "unsupported_media_type",
    ),
    ("B87 no eye", lambda s: s.send(ONE, fields=[("patient", "P-1")]), 422, "invalid"),
    ("B87 middle eye", lambda s: s.send(ONE, fields=usual(eye="middle")), 422, "invalid"),
    ("B87 year 2099", lambda s: s.send(ONE, fields=usual(("captured_at", "2099-01-01T00:00:00Z"))), 422, "invalid"),
    ("B87 year 1800", lambda s: s.send(ONE, fields=usual(("captured_at", "1800-01-01T00:00:00Z"))), 422, "invalid"),
    ("B69 NUL in a field", lambda s: s.send(ONE, fields=usual(("site", "a\x00b"))), 422, "invalid"),
    ("B72 surrogate in a field", lambda s: s.send(ONE, fields=usual(("device", "a\ud800b"))), 201, ""),
    ("site unknown", lambda s: s.send(ONE, fields=usual(("site", "Nowhere"))), 422, "site_unknown"),
    ("B88 not mine", lambda s: s.client.get(f"{API}/{uuid.uuid4()}"), 404, "not_found"),
    ("B89 no login", lambda s: Client().post(API, {}), 401, "not_authenticated"),
    (
        "B92 more fields",
        lambda s: s.send(ONE, fields=usual(("status", "done"), ("decision", "normal"))),
        422,
        "invalid",
    ),
    ("B92 misspelled field", lambda s: s.send(ONE, fields=usual(("may train", "no"))), 422, "invalid"),
    ("B93 two eyes", lambda s: s.send(ONE, fields=usual(("eye", "OS"))), 422, "invalid"),
]


@pytest.mark.parametrize(("ask", "status", "code"), [pytest.param(*row[1:], id=row[0]) for row in REQUESTS])
def test_requests(api: Sender, ask: Callable[[Sender], Any], status: int, code: str, settings: Any) -> None:
    answer = ask(api)
    assert answer.status_code == status, answer.content[:300]
    if status == 201:
        assert EyeImage.objects.count() == 1 and answer.json()["reasons"] == ["no_champion"]
    else:
        assert answer.json()["code"] == code and answer["Content-Type"] == "application/problem+json"
        assert nothing_is_stored(settings)


def test_b92_an_unknown_field_is_named_with_those_that_exist(api: Sender) -> None:
    problem = api.send(ONE, fields=usual(("may train", "no"), ("laterality", "R"))).json()
    assert problem["field"] == "may train" and set(problem["errors"]) == {"may train", "laterality"}
    for known in ("photo", "patient", "eye", "mode", "site", "device", "captured_at", "may_train", "send_anyway"):
        assert known in problem["detail"]


@pytest.mark.parametrize("place", [API, PAGE])
@pytest.mark.parametrize("name", ["Müller \u00e9.jpg", "\u2013 \u201cOD\u201d.jpg", "x" * 200 + "\u00e9.jpg"])
def test_b72_a_name_in_the_code_page_of_windows_does_not_lose_the_photo(place: str, name: str) -> None:
    sender = Sender(place)
    fields = usual() if place == API else [("patient_key", "P-1"), ("eye", "OD"), ("key", str(uuid.uuid4()))]
    body = multipart_body(fields, [("NAME", JPEG)]).replace(b"NAME", name.encode("cp1252"), 1)
    answer = sender.client.post(place, body, content_type=CONTENT_TYPE)
    assert answer.status_code == (201 if place == API else 303), answer.content[:300]
    image = EyeImage.objects.get()
    assert image.original_name == name[:100] and image.patient_key == "P-1"


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), min_size=1, max_size=5), st.integers(1, 90))
def test_a_body_passes_unchanged_but_for_the_letters_of_its_headers(files: Any, size: int) -> None:
    """However it is cut into pieces, and whatever the files contain."""
    mark = b"--bb"
    name = "\u00e9\u00fc".encode("cp1252")

    def body(letters: bytes) -> bytes:
        heads = [b'Content-Disposition: form-data; filename="%s"' % (letters if odd else b"a") for _, odd in files]
        parts = [b"%s\r\n%s\r\n\r\n%s\r\n" % (mark, head, data) for head, (data, _) in zip(heads, files, strict=True)]
        return b"".join(parts) + mark + b"--\r\n"

    assume(not any(b"--b" in data for data, _ in files))
    stream = Utf8Headers(io.BytesIO(body(name)), b"bb")
    received = b"".join(iter(lambda: stream.read(size), b""))
    assert received == body("\u00e9\u00fc".encode())


@pytest.mark.parametrize(
    ("extra", "status", "words"),
    [
        ({"CONTENT_LENGTH": "10000000000"}, 413, "larger than 100 MB"),
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, 411, "Content-Length"),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, 415, "compressed"),
    ],
)
def test_a_body_is_refused_by_its_header_for_people_too(extra: dict[str, str], status: int, words: str) -> None:
    answer = Sender(PAGE).send(ONE, **extra)
    assert answer.status_code == status and words in answer.content.decode()


def test_b89_a_form_without_its_token_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory.create(roles=["screener"]))
    assert strict.post(PAGE, {}).status_code == 403
    assert Client().post(PAGE, {}).status_code == 302


# What the photo shows -------------------------------------------------------------------------------------------------
def flat(value: int) -> bytes:
    noise = np.random.default_rng(value).integers(-1, 2, (240, 320, 3))
    return photos.encode(np.clip(noise + value, 0, 255).astype(np.uint8), "PNG")


def blurred() -> bytes:
    small = Image.fromarray(photos.eye(640, 480)).resize((12, 9))
    return photos.encode(small.resize((640, 480), Image.Resampling.BICUBIC), "PNG")


CONTENT = [
    ("B54 black", lambda: flat(2), "too_dark"),
    ("B55 white", lambda: flat(254), "too_bright"),
    ("B56 blurred", blurred, "blurred"),
    ("B57 one colour", lambda: flat(128), "blank"),
]


@pytest.mark.parametrize(("make", "advice"), [pytest.param(*row[1:], id=row[0]) for row in CONTENT])
def test_what_cannot_be_judged_is_stored_and_not_guessed(
    api: Sender, champion: Any, make: Callable[[], bytes], advice: str
) -> None:
    answer = api.send(("a.png", make()))
    found = answer.json()
    assert answer.status_code == 201 and found["prediction"] == "ungradable" and found["confidence"] is None
    assert Prediction.objects.get().gate["advice"] == advice and "again" in found["advice"]


def test_b48_the_eight_orientations_get_one_score_and_one_picture(api: Sender, champion: Any) -> None:
    pixels = photos.eye(96, 64)
    undo = {1: 0, 3: 2, 6: 1, 8: 3}
    scores, pictures = [], []
    for orientation in range(1, 9):
        turned = np.rot90(pixels, undo[_rotation(orientation)])
        if orientation in (2, 4, 5, 7):
            turned = _mirror(pixels, orientation)
        data = photos.encode(np.ascontiguousarray(turned), "PNG", exif=photos.exif(orientation))
        answer = api.send(("a.png", data), fields=usual(("send_anyway", "true"), patient=f"P-{orientation}"))
        assert answer.status_code == 201, answer.content
        image = EyeImage.objects.get(sha256=answer.json()["image"]["sha256"])
        assert (image.width, image.height) == (96, 64)
        scores.append(float(Prediction.objects.get(pk=answer.json()["id"]).fast_score or "nan"))
        api_session = Client()
        api_session.force_login(api.user)
        pictures.append(api_session.get(f"/photos/{image.pk}/view/").content)
    assert max(scores) - min(scores) <= 1e-6 and len(set(pictures)) == 1


def _rotation(orientation: int) -> int:
    return orientation if orientation in (1, 3, 6, 8) else 1


def _mirror(pixels: Any, orientation: int) -> Any:
    return {
        2: pixels[:, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
    }[orientation]


def test_duplicates(api: Sender) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first, replay = api.send(ONE, **key), api.send(ONE, **key)
    assert replay.json()["id"] == first.json()["id"] and replay["Idempotency-Replayed"] == "true"  # B63
    for fields, code in (
        (usual(), "duplicate"),  # B64
        (usual(patient="P-2"), "same_photo_other_patient"),  # B65
        (usual(eye="OS"), "same_photo_both_eyes"),  # B67
    ):
        answer = api.send(ONE, fields=fields)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    smaller = Image.open(io.BytesIO(jpeg_bytes(5, size=320))).resize((256, 256))
    assert api.send(("a.jpg", jpeg_bytes(5, size=320)), fields=usual(patient="P-5")).status_code == 201
    twin = api.send(("b.jpg", photos.encode(smaller)), fields=usual(patient="P-6"))  # B66
    assert twin.json()["image"]["near_duplicate_of"] is not None
    clusters = EyeImage.objects.filter(patient__key__in=["P-5", "P-6"]).values_list("cluster", flat=True)
    assert len(set(clusters)) == 1


def test_no_answer_is_more_than_json(api: Sender) -> None:
    """The API never echoes markup: it answers in JSON, whatever the file name."""
    answer = api.send(("<script>.jpg", b"x" * 99))
    assert json.loads(answer.content)["code"] == "type_unknown"
