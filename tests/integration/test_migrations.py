"""The migrations make the tables that the models describe, and take them away again."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from deploy.local.system import System
from services.registration_service.database import Database
from tests.integration import accounts, scratch

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
GRANTS = """
    SELECT string_agg(privilege_type, ' ' ORDER BY privilege_type) FROM information_schema.role_table_grants
    WHERE grantee = 'registration' AND table_name = :table
"""
COLUMNS = """
    SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns
    WHERE table_name = 'images_medicales' ORDER BY ordinal_position
"""
OURS = [
    "audit_chain",
    "audit_events",
    "audit_prunings",
    "audit_retention",
    "audit_unsealed",
    "examens_medicaux",
    "images_medicales",
    "intake_ledger",
    "outbox",
    "paused_consumers",
    "reconciler_cursor",
]


@pytest.fixture
def empty(system: System) -> Iterator[str]:
    """The name of a database without tables."""
    name = f"test_migrations_{os.getpid()}"
    scratch.make(system, name)
    yield name
    scratch.drop(system, name)


def _tables(system: System, name: str) -> list[str]:
    return [table for (table,) in scratch.ask(system, name, TABLES)]


def test_up_down_and_up_again(system: System, empty: str) -> None:
    scratch.alembic(system, empty, "upgrade", "head")
    assert _tables(system, empty) == ["alembic_version", *OURS]
    scratch.alembic(system, empty, "check")  # fails where the models say anything else
    scratch.alembic(system, empty, "downgrade", "base")
    assert _tables(system, empty) == ["alembic_version"]
    scratch.alembic(system, empty, "upgrade", "head")
    assert _tables(system, empty) == ["alembic_version", *OURS]


def test_image_records_have_exactly_the_columns_of_the_contract(system: System, tables: str) -> None:
    assert scratch.ask(system, tables, COLUMNS) == [
        ("imageID", "character varying", 36, "NO"),
        ("examenID", "character varying", 36, "NO"),
        ("studyInstanceUID", "character varying", 255, "NO"),
        ("seriesInstanceUID", "character varying", 255, "NO"),
        ("sopInstanceUID", "character varying", 255, "NO"),
        ("dateAcquisition", "timestamp with time zone", None, "NO"),
        ("modalite", "character varying", 50, "NO"),
        ("description", "text", None, "NO"),
        ("url", "character varying", 500, "YES"),
        ("orthancInstanceId", "character varying", 255, "YES"),
    ]


@pytest.mark.parametrize("table", OURS)
def test_the_services_role_has_what_it_needs_and_no_more(system: System, tables: str, table: str) -> None:
    [(grants,)] = scratch.ask(system, tables, GRANTS, table=table)
    fewer = {
        "audit_chain": "INSERT SELECT",
        "audit_events": "INSERT SELECT",
        "audit_prunings": "SELECT",
        "audit_retention": "SELECT",
        "audit_unsealed": "DELETE SELECT",
        "paused_consumers": "DELETE INSERT SELECT",
        "reconciler_cursor": "INSERT SELECT UPDATE",
    }
    assert grants == fewer.get(table, "DELETE INSERT SELECT UPDATE")


async def test_readiness_tells_a_database_of_older_code(system: System, empty: str) -> None:
    scratch.alembic(system, empty, "upgrade", "head")
    database = Database(accounts.database(system, empty))
    async with contextlib.aclosing(database):
        await database.answers()
        scratch.alembic(system, empty, "downgrade", "0002")
        with pytest.raises(LookupError, match="revision 0002: run the migrations"):
            await database.answers()
        scratch.alembic(system, empty, "upgrade", "head")
        scratch.ask(system, empty, "UPDATE alembic_version SET version_num = '9999' RETURNING 1")
        await database.answers()  # a newer one: replicas are upgraded one by one
