"""Servers and services that are down, come back, freeze or are killed. One system of our own for all of it."""

import contextlib
import functools
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from deploy.local.layout import BACKING, SERVICES
from services.registration_service.database import Database
from services.registration_service.locks import lock_for_exam
from shared.errors import DatabaseAway
from tests.dicom_files import fresh
from tests.integration import accounts, given, scratch
from tests.integration.faulty import Faulty
from tests.integration.queues import channel_of, soon
from tests.running import eventually, registered, upload

READY_WITHIN = 40.0
LEFT_OVER = ("dicom-stored.retry-1", "dead")


@pytest.fixture
async def database(broken: Faulty) -> AsyncIterator[Database]:
    database = Database(accounts.database(broken.system, "examflow"))
    async with contextlib.aclosing(database):
        yield database


def _send(broken: Faulty, content: bytes, exam: str) -> dict[str, Any]:
    """The data of an upload that names its exam; it must succeed."""
    answer = upload(broken.running.client(), content, examenID=exam)
    assert answer.is_success, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def _rows(broken: Faulty, exam: str) -> list[tuple[Any, ...]]:
    """State, attempts and number of records of each image that was sent for this exam."""
    query = """
        SELECT state, attempts, (SELECT count(*) FROM images_medicales WHERE "orthancInstanceId" = orthanc_id)
        FROM intake_ledger WHERE wanted_exam_id = :exam
    """
    return scratch.ask(broken.system, "examflow", query, exam=exam)


async def _left_over(broken: Faulty) -> dict[str, int]:
    async with channel_of(broken.system, "admin") as channel:
        queues = [await channel.declare_queue(f"registration.{name}", passive=True) for name in LEFT_OVER]
    return {queue.name: queue.declaration_result.message_count or 0 for queue in queues}


def test_services_start_without_their_servers_and_become_ready_by_themselves(broken: Faulty) -> None:
    broken.stop(*SERVICES)
    broken.stop(*BACKING)
    broken.start(*SERVICES)
    for service in SERVICES:
        eventually(functools.partial(_answers, broken, service), what=f"{service} live")
    assert broken.lacks("upload") == {"orthanc", "rabbitmq"}
    assert broken.lacks("registration") == {"orthanc", "postgresql", "rabbitmq"}
    assert broken.lacks("preview") == {"orthanc", "registration"}
    assert broken.lacks("reconciler") == {"orthanc", "postgresql", "rabbitmq"}
    _refuse_for_now(broken)

    broken.start("postgres")
    eventually(lambda: broken.lacks("registration") == {"orthanc", "rabbitmq"}, READY_WITHIN, "PostgreSQL back")
    broken.start("orthanc")
    eventually(lambda: broken.lacks("upload") == {"rabbitmq"}, READY_WITHIN, "Orthanc back")
    assert broken.lacks("reconciler") == {"rabbitmq"}
    broken.start("rabbitmq")
    broken.becomes_ready()

    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    data = _send(broken, fresh("CT_small.dcm"), exam)
    registered(broken.running.client(), data["ID"])


def _answers(broken: Faulty, service: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return broken.live(service)
    return False


def _refuse_for_now(broken: Faulty) -> None:
    """A front end is told to come again, in words."""
    opened = broken.running.client("his", "exams:write").put("/examens-medicaux/EX-X", json={})
    sent = upload(broken.running.client(), fresh("CT_small.dcm"))
    assert (opened.status_code, opened.json()["type"]) == (503, "/problems/database-away")
    assert (sent.status_code, sent.json()["type"]) == (503, "/problems/orthanc-away")
    assert opened.headers["retry-after"]
    assert sent.headers["retry-after"]


def test_after_a_restart_of_rabbitmq_images_are_registered_again(broken: Faulty) -> None:
    exam, content = given.name(), fresh("CT_small.dcm")
    broken.running.open_exam(exam, "user:alice")
    broken.stop("rabbitmq")
    assert broken.lacks("registration") == {"rabbitmq"}
    assert broken.lacks("upload") == {"rabbitmq"}
    pending = upload(broken.running.client(), content, examenID=exam)
    assert (pending.status_code, pending.json()["data"]["event"]) == (201, "pending")
    assert pending.elapsed.total_seconds() < 15

    broken.start("rabbitmq")
    broken.becomes_ready()
    registered(broken.running.client(), pending.json()["data"]["ID"])  # nobody sends it again
    again = _send(broken, content, exam)
    assert (again["Status"], again["event"]) == ("AlreadyStored", "confirmed")


async def test_what_arrives_while_postgresql_is_away_is_registered_later(broken: Faulty, database: Database) -> None:
    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    await database.answers()
    broken.stop("postgres")
    with pytest.raises(DatabaseAway):
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
    sent = [_send(broken, fresh("CT_small.dcm"), exam) for _ in range(3)]
    assert broken.lacks("registration") == {"postgresql"}

    broken.start("postgres")
    broken.becomes_ready()
    async with database.transaction() as session:  # the same pool: its dead connections are no trouble
        await session.execute(text("SELECT 1"))
    for data in sent:
        registered(broken.running.client(), data["ID"])
    assert _rows(broken, exam) == [("registered", 1, 1)] * 3
    assert await _left_over(broken) == {f"registration.{name}": 0 for name in LEFT_OVER}


async def test_a_backlog_takes_no_connection_from_requests(broken: Faulty, database: Database) -> None:
    """More messages than connections are in hand, and each waits for a lock."""
    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    alice = broken.running.client()
    async with database.transaction() as holder:
        await lock_for_exam(holder, exam)
        sent = [_send(broken, fresh("CT_small.dcm"), exam) for _ in range(20)]
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted OFFSET 5"
        await soon(lambda: scratch.fetch(broken.system, "examflow", waiting), what="messages that wait for the lock")
        assert not broken.lacks("registration")
        assert alice.get(f"/examens-medicaux/{exam}/images").json()["items"] == []
    for data in sent:
        registered(alice, data["ID"])


async def test_a_message_in_the_hand_of_a_killed_service_is_delivered_again(broken: Faulty, database: Database) -> None:
    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    async with database.transaction() as holder:
        await lock_for_exam(holder, exam)
        data = _send(broken, fresh("CT_small.dcm"), exam)
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await soon(lambda: scratch.fetch(broken.system, "examflow", waiting), what="the message in hand")
        broken.kill("registration")
    broken.becomes_ready()
    registered(broken.running.client(), data["ID"])
    assert _rows(broken, exam) == [("registered", 1, 1)]
    assert await _left_over(broken) == {f"registration.{name}": 0 for name in LEFT_OVER}


def test_while_rabbitmq_is_frozen_nothing_hangs(broken: Faulty) -> None:
    exam, content = given.name(), fresh("CT_small.dcm")
    broken.running.open_exam(exam, "user:alice")
    frozen = broken.pid("rabbitmq")
    os.kill(frozen, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert broken.lacks("upload") == {"rabbitmq"}
        assert broken.lacks("registration") == {"rabbitmq"}
        pending = upload(broken.running.client(), content, examenID=exam)
        assert time.monotonic() - began < 15
        assert (pending.status_code, pending.json()["data"]["event"]) == (201, "pending")
    finally:
        os.kill(frozen, signal.SIGCONT)
    broken.becomes_ready()
    registered(broken.running.client(), pending.json()["data"]["ID"])
    assert [(state, records) for state, _, records in _rows(broken, exam)] == [("registered", 1)]


def test_views_while_rabbitmq_is_away_are_on_record_also_after_a_crash(broken: Faulty) -> None:
    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    data = _send(broken, fresh("CT_small.dcm"), exam)
    registered(broken.running.client(), data["ID"])
    broken.stop("rabbitmq")
    looks = [f"{exam}-{number}" for number in range(4)]
    for look in looks:
        shown = broken.running.client().get(
            f"/dicom/instances/{data['ID']}/preview", headers={"X-Correlation-ID": look}
        )
        assert shown.status_code == 200
        assert shown.elapsed.total_seconds() < 6  # three times the patience with the broker
    broken.kill("preview")
    broken.start("rabbitmq")
    broken.becomes_ready()
    query = """
        SELECT correlation_id, count(*) FROM audit_events WHERE exam_id = :exam AND action = 'image.view' GROUP BY 1
    """

    def told() -> bool:
        found = scratch.ask(broken.system, "examflow", query, exam=exam)
        return sorted(found) == [(look, 1) for look in looks]

    eventually(told, 30, "each view on record once")
