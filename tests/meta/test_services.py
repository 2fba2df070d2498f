"""The servers that tests get are real ones."""

import psycopg
import pytest
from redis import Redis


@pytest.mark.services
def test_each_test_gets_an_empty_postgresql_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        version = connection.execute("SHOW server_version_num").fetchone()
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert version is not None and int(version[0]) >= 140000
    assert tables == (0,)


@pytest.mark.services
def test_each_test_gets_an_empty_redis_database(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
