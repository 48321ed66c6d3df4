"""The command `examflow partner`: add, list, remove, and what it refuses."""

import re
from collections.abc import Iterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPConnectionError, AMQPError
from aiormq.exceptions import ChannelAccessRefused

from tests.integration.partners import Partner, examflow, partner, url_in
from tests.integration.queues import soon, take
from tests.running import Running


@pytest.fixture(scope="module")
def his(running: Running) -> Iterator[Partner]:
    """A partner with all that one may have."""
    with partner(running.env) as made:
        yield made


async def _announce(admin: AbstractChannel) -> None:
    """What registration says, in short."""
    exchange = await admin.get_exchange("medical-images", ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "image.moved")


def test_the_password_is_told_once_and_strong(his: Partner) -> None:
    found = re.search(r"password, shown this once: (\S{40,})", his.said)
    assert found
    assert f"{his.name}:{found[1]}@" in his.url


async def test_adding_again_changes_nothing(running: Running, his: Partner) -> None:
    done = examflow(running.env, "partner", "add", his.name)
    assert (done.returncode, done.stdout) == (0, f"{his.name}: nothing changed\n")
    async with his.channel():
        pass


async def test_a_new_password_closes_the_old_ones_door(running: Running) -> None:
    with partner(running.env) as made:
        done = examflow(running.env, "partner", "add", made.name, "--new-password")
        with pytest.raises(AMQPConnectionError):
            await aio_pika.connect(made.url, timeout=5)
        renewed = url_in(done.stdout)
        assert renewed != made.url
        await (await aio_pika.connect(renewed, timeout=5)).close()


async def test_adding_again_with_options_sets_just_these(running: Running) -> None:
    with partner(running.env) as made:
        assert "listens to image.moved, image.refused, image.registered, image.waiting" in made.said
        options = ("--listen", "exam.rights-changed", "--publish", "dicom.stored")
        done = examflow(running.env, "partner", "add", made.name, *options)
        assert done.stdout.splitlines() == [
            f"{made.name}: listens to exam.rights-changed",
            f"{made.name}: may publish dicom.stored",
        ]
        await made.publish(b"{}", "dicom.stored")
        with pytest.raises(ChannelAccessRefused):
            await made.publish(b"{}", "exam.upserted")
        assert examflow(running.env, "partner", "add", made.name).stdout == f"{made.name}: nothing changed\n"


@pytest.mark.parametrize("name", ["upload", "registration", "admin"])
@pytest.mark.parametrize("command", ["add", "remove"])
def test_a_services_user_is_no_partner(running: Running, name: str, command: str) -> None:
    done = examflow(running.env, "partner", command, name)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{name} is a broker user that is no partner" in done.stderr


@pytest.mark.parametrize("name", ["HIS", "his.north", "h", "-his", "his-", "x" * 32, "a/b", "unknown", "hïs"])
def test_a_name_that_cannot_be(running: Running, name: str) -> None:
    done = examflow(running.env, "partner", "add", "--", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "A partner's name is 2 to 31 of a-z, 0-9 and -" in done.stderr


@pytest.mark.parametrize(("option", "key"), [("--listen", "dicom.stored"), ("--publish", "image.moved")])
def test_a_type_that_is_not_for_partners(running: Running, his: Partner, option: str, key: str) -> None:
    done = examflow(running.env, "partner", "add", his.name, option, key)
    assert done.returncode == 1
    assert f"{option} {key}: it is one of" in done.stderr


async def test_the_list_says_who_there_is_and_what_waits(running: Running, admin: AbstractChannel) -> None:
    with partner(running.env, "--publish", "nothing", "--listen", "image.moved") as made:
        for _ in range(3):
            await _announce(admin)

        async def listed() -> bool:  # the broker counts every five seconds
            lines = examflow(running.env, "partner", "list").stdout.splitlines()
            [line] = [line for line in lines if made.name in line]
            cells = [cell.strip() for cell in line.split("│")[1:-1]]
            return cells == [made.name, "nothing", "image.moved", "3 / 100000", "0%", "1"]

        async with made.channel():
            await soon(listed, 20, "the partner in the list")


async def test_removing_refuses_while_messages_lie_there(running: Running, admin: AbstractChannel) -> None:
    with partner(running.env, "--listen", "image.moved") as made:
        await _announce(admin)
        done = examflow(running.env, "partner", "remove", made.name)
        assert (done.returncode, done.stdout) == (1, "")
        assert "--force drops them" in done.stderr
        async with made.channel() as channel:  # still there, with all that it had
            assert (await take(await channel.get_queue(made.queue, ensure=False))).body == b"{}"


@pytest.mark.parametrize("force", [(), ("--force",)])
async def test_removing_ends_its_connections_and_takes_the_queue(
    running: Running, admin: AbstractChannel, force: tuple[str, ...]
) -> None:
    with partner(running.env, "--listen", "image.moved") as made:  # which nobody else announces meanwhile
        connection = await aio_pika.connect(made.url, timeout=5)
        if force:
            await _announce(admin)
        done = examflow(running.env, "partner", "remove", made.name, *force)
        assert (done.returncode, done.stdout) == (0, f"{made.name}: removed\n")
        await soon(lambda: _closed(connection), what="the end of its connection")
        with pytest.raises(AMQPConnectionError):
            await aio_pika.connect(made.url, timeout=5)
        with pytest.raises(AMQPError, match=f"no queue '{made.queue}'"):
            await admin.declare_queue(made.queue, passive=True)
        again = examflow(running.env, "partner", "remove", made.name)
        assert f"There is no partner {made.name}" in again.stderr


async def _closed(connection: aio_pika.abc.AbstractConnection) -> bool:
    try:
        await (await connection.channel()).close()
    except (RuntimeError, AMQPError):
        return True
    return False


SECRET = "the-secret-of-the-broker"
WRONG = {
    "not set": ({}, "RABBITMQ_MANAGEMENT_URL is not set"),
    "nobody there": ({"RABBITMQ_MANAGEMENT_URL": f"http://admin:{SECRET}@127.0.0.1:1"}, "does not answer"),
    "no address": ({"RABBITMQ_MANAGEMENT_URL": f"admin:{SECRET}@nowhere"}, "needs all of"),
    "no port at all": ({"RABBITMQ_MANAGEMENT_URL": f"http://admin:{SECRET}@host:x"}, "is not an address"),
}


@pytest.mark.parametrize(("env", "words"), WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_one_sentence_without_the_password(env: dict[str, str], words: str) -> None:
    done = examflow(env, "partner", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr


def test_a_wrong_password_is_one_sentence_too(running: Running) -> None:
    wrong = re.sub("//admin:[^@]*@", f"//admin:{SECRET}@", running.env["RABBITMQ_MANAGEMENT_URL"])
    done = examflow({"RABBITMQ_MANAGEMENT_URL": wrong}, "partner", "add", "his")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("RabbitMQ does not take user and password of RABBITMQ_MANAGEMENT_URL")
    assert SECRET not in done.stderr
