"""The record cannot be changed or deleted in the database: every table of it, with statements that no service sends."""

import re
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import environ
import pytest
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper
from django.test.utils import isolate_apps

from cataract.core import record
from cataract.core.record import Kept, keep
from predictions.answering.models import Disclosure, FinalResult
from predictions.answering.services import disclose
from predictions.releases.models import Promotion
from review.labels.models import Label
from review.reading import services
from tests.factories import LabelFactory, PredictionFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db

# What may change, as the migrations state it; a new column of a table of the record must be decided on.
MAY_CHANGE = {
    "predictions_prediction": {"has_case"},
    "predictions_deletion": {"status", "purge_after", "ended_by_id"},
}


def refused(statement: str, *values: Any, on: BaseDatabaseWrapper = connection) -> None:
    with pytest.raises(IntegrityError, match="is never"), transaction.atomic(using=on.alias), on.cursor() as cursor:
        cursor.execute(statement, values)


def test_every_table_of_the_record_has_its_triggers() -> None:
    assert record.unprotected(connection) == []
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER review_label_is_never_deleted")
    assert record.unprotected(connection) == ["review_label"]


def test_every_column_of_the_record_is_kept() -> None:
    tables = connection.introspection.table_names()
    assert set(record.TABLES) <= set(tables)
    with connection.cursor() as cursor:
        for table in record.TABLES:
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = %s", [f"{table}_is_never_changed"])
            named = set(re.findall(r'OLD\."(\w+)"', cursor.fetchone()[0]))
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            assert columns - named == MAY_CHANGE.get(table, set()), table


def test_readings_labels_answers_and_promotions_stand(champion: Any) -> None:
    case, reader = make_case("normal"), ReaderFactory.create()
    services.claim_case(case=case, reader=reader)
    reading = services.store_blind_answer(case=case, reader=reader, answer="normal")
    label = Label.objects.get(case=case)
    for table, key, columns in (
        ("review_reading", reading.pk, ("note", "grade", "final_answer", "blind_answer", "reader_id")),
        ("review_label", label.pk, ("weight", "answer", "case_id", "created_at")),
        ("predictions_prediction", case.prediction_id, ("decision", "probability", "reasons", "status", "done_at")),
        ("predictions_promotion", Promotion.objects.get().pk, ("reason", "promoted_by_id", "created_at")),
    ):
        pk = key.hex if isinstance(key, UUID) else key
        for column in columns:
            refused(f"UPDATE {table} SET {column} = 'x' WHERE id = %s", pk)
        refused(f"DELETE FROM {table} WHERE id = %s", pk)
        refused(f"REPLACE INTO {table} SELECT * FROM {table} WHERE id = %s", pk)
    refused("DELETE FROM review_label_readings")
    Label.objects.filter(pk=label.pk).update(superseded_at=label.created_at)
    refused("UPDATE review_label SET superseded_at = NULL")
    with pytest.raises(DatabaseError):
        label.delete()


def test_who_was_shown_an_answer_stays_on_record() -> None:
    prediction, user = PredictionFactory.create(decision="normal"), UserFactory.create()
    disclose(predictions=[prediction], user=user)
    refused("DELETE FROM predictions_disclosure")
    refused("UPDATE predictions_disclosure SET user_id = user_id + 1")
    disclose(predictions=[prediction], user=user)  # again: nothing happens
    assert Disclosure.objects.count() == 1 and FinalResult.objects.count() == 0
    assert LabelFactory.create().pk


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
@isolate_apps("tests")
def test_what_may_change_is_said_column_by_column(vendor: str, request: pytest.FixtureRequest) -> None:
    class Photo(models.Model):  # noqa: DJ008
        status = models.CharField(max_length=7)

        class Meta:
            app_label = "tests"

    class Row(models.Model):  # noqa: DJ008
        photo = models.ForeignKey(Photo, models.PROTECT)
        answer = models.CharField(max_length=9, blank=True)
        final = models.CharField(max_length=9, blank=True)
        at = models.DateTimeField(null=True)
        role = models.CharField(max_length=9, default="extra")
        patient = models.IntegerField(null=True)
        place = models.IntegerField(default=1)
        more = models.JSONField(default=dict)

        class Meta:
            app_label = "tests"

    kept = Kept(
        free=("place",), once=("final", "at"), cleared=("patient",), moves=(("role", "extra", "second"),),
        deletable="EXISTS (SELECT 1 FROM tests_photo WHERE id = OLD.photo_id AND status = 'purging')",
    )  # fmt: skip
    on: Any = connection
    if vendor == "postgresql":
        url = request.getfixturevalue("postgres_url")
        on = DatabaseWrapper(
            {**connection.settings_dict, **environ.Env.db_url_config(url), "OPTIONS": {}}, alias="other"
        )
        on.ensure_connection()
    cursor = on.cursor()

    def refuse(statement: str) -> None:
        with pytest.raises(IntegrityError, match="a row of tests_row is never"):
            cursor.execute(statement)

    number = "integer PRIMARY KEY" if vendor == "sqlite" else "serial PRIMARY KEY"
    more = "text" if vendor == "sqlite" else "jsonb"
    cursor.execute(f"CREATE TABLE tests_photo (id {number}, status text)")
    cursor.execute(
        f"CREATE TABLE tests_row (id {number}, photo_id integer, answer text, final text, at timestamp, role text, "
        f"patient integer, place integer, more {more})"
    )
    editor = SimpleNamespace(connection=on, execute=cursor.execute)
    keep(editor, Row, kept)
    keep(editor, Row, kept)  # again: the triggers are replaced
    cursor.execute("INSERT INTO tests_photo (status) VALUES ('kept')")
    cursor.execute(
        "INSERT INTO tests_row (photo_id, answer, final, role, patient, place, more) "
        "VALUES (1, 'a', '', 'extra', 7, 1, '{}')"
    )
    for allowed in (
        "place = 2",
        "final = 'b'",
        "role = 'second'",
        "patient = NULL",
        "answer = 'a'",
        "at = '2026-01-01'",
    ):
        cursor.execute(f"UPDATE tests_row SET {allowed}")
    for change in (
        "answer = 'b'",
        "final = 'c'",
        "role = 'extra'",
        "patient = 7",
        "at = NULL",
        "place = 3, answer = ''",
    ):
        refuse(f"UPDATE tests_row SET {change}")
    refuse("DELETE FROM tests_row")
    if vendor == "postgresql":
        refuse("TRUNCATE tests_row")
        assert "cataract_auditentry" in record.unprotected(on)
    cursor.execute("UPDATE tests_photo SET status = 'purging'")
    cursor.execute("DELETE FROM tests_row")
    cursor.close()
    if vendor == "postgresql":
        on.close()
