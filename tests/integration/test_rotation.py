"""Each secret is changed while images are sent, as docs/secrets.md says: none is lost, the old one opens nothing."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator

import aio_pika
import httpx
import pytest
from aiormq.exceptions import AMQPConnectionError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.local import lifecycle
from deploy.local.files import write_private
from deploy.local.system import System, load
from tests import dicom_files
from tests.integration import faulty, given
from tests.integration.accounts import database_url
from tests.running import Running, eventually, registered, upload

PAUSE_SECONDS, AGAIN_SECONDS = 0.3, 0.2
ACCEPTED = (200, 201)


class Sender(threading.Thread):
    """Sends one image after the other, and each again until it is accepted."""

    def __init__(self, running: Running, exam: str) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.again = 0
        self._client, self._exam = running.client("alice"), exam
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            self._send(dicom_files.fresh("CT_small.dcm"))
            self._enough.wait(PAUSE_SECONDS)

    def _send(self, content: bytes) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = upload(self._client, content, examenID=self._exam)
                if answer.status_code in ACCEPTED:
                    self.accepted.append(answer.json()["data"]["ID"])
                    return
            self.again += 1
            self._enough.wait(AGAIN_SECONDS)

    def stop(self) -> None:
        """Return once the image that is being sent is accepted too."""
        self._enough.set()
        self.join(60)
        assert not self.is_alive(), "the last image was never accepted"


@pytest.fixture(scope="module")
def root() -> Iterator[faulty.Faulty]:
    yield from faulty.make()


@pytest.fixture
def before(root: faulty.Faulty) -> System:
    found = load(root.running.root)
    assert found is not None
    return found


@pytest.fixture
def sender(root: faulty.Faulty) -> Iterator[Sender]:
    """Images are sent during the whole test; then each that was accepted is registered, once."""
    exam = given.name()
    root.running.open_exam(exam, "user:alice")
    sender = Sender(root.running, exam)
    sender.start()
    yield sender
    sender.stop()
    assert sender.accepted
    alice = root.running.client("alice")
    for orthanc_id in sender.accepted:
        assert registered(alice, orthanc_id)["imageID"]
    assert len(set(sender.accepted)) == len(sender.accepted)


def rotate(before: System, *names: str) -> System:
    """As a person does it: take the lines out of secrets.json, and 'make up'."""
    known = json.loads(before.layout.secrets.read_text())
    for name in names:
        del known[name]
    write_private(before.layout.secrets, json.dumps(known))
    after = load(before.root)
    assert after is not None
    lifecycle.up(after, print)
    changed = {name for name, value in after.secrets if value != getattr(before.secrets, name)}
    assert changed == set(names)
    return after


def test_orthancs_users(before: System, sender: Sender) -> None:
    after = rotate(before, "orthanc_upload", "orthanc_registration", "orthanc_preview")
    for user in ("upload", "registration", "preview"):
        for system, status in ((before, 401), (after, 200)):
            account = (user, system.secrets.of("orthanc")[user])
            url = f"http://{system.backing.orthanc}/changes"
            assert httpx.get(url, auth=account, trust_env=False).status_code == status


async def test_rabbitmqs_users(before: System, sender: Sender) -> None:
    users = ("upload", "registration", "preview")
    after = await asyncio.to_thread(rotate, before, *(f"rabbitmq_{user}" for user in users))
    for user in users:
        with pytest.raises(AMQPConnectionError):
            await aio_pika.connect(before.broker_url(user), timeout=5)
        async with await aio_pika.connect(after.broker_url(user), timeout=5) as connection:
            assert not connection.is_closed


async def test_postgresqls_roles(before: System, sender: Sender) -> None:
    after = await asyncio.to_thread(rotate, before, "postgres_registration", "postgres_examflow")
    for user in ("registration", "examflow"):
        with pytest.raises(Exception, match="password authentication failed"):
            await _ask(database_url(before, "examflow", user))
        await _ask(database_url(after, "examflow", user))


def test_the_internal_token(root: faulty.Faulty, before: System, sender: Sender) -> None:
    """Registration believes both; then preview shows the new one; then registration forgets the old one."""
    old, new = before.secrets.internal_token, "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    eventually(lambda: sender.accepted, what="an image")
    registered(root.running.client("alice"), sender.accepted[0])
    for believed, shown in ((f"{new},{old}", old), (f"{new},{old}", new), (new, new)):
        settings = {"EXAMFLOW_INTERNAL_TOKEN": believed, "EXAMFLOW_REGISTRATION__TOKEN": shown}
        lifecycle.up(before.model_copy(update={"settings": settings}), print)
        seen = root.running.client("alice").get(f"/dicom/instances/{sender.accepted[0]}/preview")
        assert seen.status_code == 200, seen.text
        assert _internal(before, new) == 404
        assert _internal(before, old) == (404 if old in believed else 401)


def test_what_signs_urls(root: faulty.Faulty, before: System, sender: Sender) -> None:
    """Both are believed, and the first signs; the old one opens nothing once it is taken out."""
    alice, nobody = root.running.client("alice"), root.running.at("EXAMFLOW_URL")
    eventually(lambda: sender.accepted, what="an image")
    registered(alice, sender.accepted[0])

    def given_out() -> str:
        return str(alice.post(f"/dicom/instances/{sender.accepted[0]}/preview-url").json()["url"])

    old, new = before.secrets.signed_url_secret, "9a8b7c6d5e4f30211203f4e5d6c7b8a9"
    urls = [given_out()]
    for believed, statuses in ((f"{new},{old}", [200, 200]), (new, [404, 200])):
        settings = {"EXAMFLOW_SIGNED__SECRET": believed}
        lifecycle.up(before.model_copy(update={"settings": settings}), print)
        urls.append(given_out())
        assert [nobody.get(url).status_code for url in (urls[0], urls[-1])] == statuses
    assert nobody.get(urls[1]).status_code == 200


def _internal(system: System, token: str) -> int:
    url = f"{system.service_url('registration')}/internal/instances/none"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code


async def _ask(url: str) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()
