"""TLS to whoever answers over HTTP: the right authority and name are believed, others are refused in words."""

import contextlib
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.preview_service.access import Access
from services.preview_service.remembered import Remembered
from services.preview_service.settings import RegistrationSettings
from services.registration_service.bindings import NEEDED, Bindings
from services.registration_service.database_address import address
from services.registration_service.settings import DatabaseSettings
from services.upload_service.settings import Settings
from shared.broker import make_broker
from shared.errors import KeysAway
from shared.orthanc import Orthanc
from shared.settings import BrokerSettings, OrthancSettings, TokenSettings
from shared.tls import Dependency, trouble
from shared.tokens import TokenVerifier
from tests.authorities import RIGHT_NAME, Vouched, vouched
from tests.unit.keys import AUDIENCE, ISSUER, token, write_keys
from tests.unit.settings import SHARED

UNTRUSTED = "its certificate is refused: unable to get local issuer certificate"
MISNAMED = "its certificate is refused: IP address mismatch, certificate is not valid for '127.0.0.1'"
PLAIN = "no TLS connection to it"


@dataclass(frozen=True)
class Server:
    """Answers every question with the same; `port` over TLS, `plain` without."""

    files: Vouched
    port: int
    plain: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    files = vouched(folder)
    write_keys(folder / "jwks.json", "rsa")
    bindings = [{"destination": queue, "routing_key": key} for queue, key in NEEDED]
    answers: dict[str, Any] = {"/jwks": json.loads((folder / "jwks.json").read_text()), "/changes": {}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            known = path in answers or path.startswith("/api/")
            body = json.dumps(answers.get(path, bindings)).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with _serving(Handler, files) as port, _serving(Handler, None) as plain:
        yield Server(files, port, plain)


@contextlib.contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], files: Vouched | None) -> Iterator[int]:
    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that trusts nobody leaves in the middle."""

    with Quiet(("127.0.0.1", 0), handler) as http:
        if files:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.certificate, files.key)
            http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join()


@contextlib.asynccontextmanager
async def _orthanc(url: str, ca: Path | None) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    settings = OrthancSettings.model_validate({"url": url, "user": "u", "password": "p", "ca_file": ca})
    async with contextlib.aclosing(Orthanc(settings)) as orthanc:
        yield orthanc.answers


async def _purge(digest: str) -> None:
    raise AssertionError(f"nothing was deleted: {digest}")


@contextlib.asynccontextmanager
async def _registration(url: str, ca: Path | None) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    settings = RegistrationSettings.model_validate({"url": url, "token": "t", "ca_file": ca})
    async with contextlib.aclosing(Access(settings, Remembered(settings), _purge)) as access:
        yield access.answers


@contextlib.asynccontextmanager
async def _management(url: str, ca: Path | None) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    settings = BrokerSettings.model_validate({"url": "amqps://u:p@rabbitmq/", "ca_file": ca})
    yield Bindings(settings, url).answers


Opened = Callable[[str, Path | None], contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[object]]]]
CLIENTS: list[Opened] = [_orthanc, _registration, _management]


@pytest.mark.parametrize("opened", CLIENTS)
async def test_the_right_authority_and_name_are_believed(server: Server, opened: Opened) -> None:
    async with opened(f"https://{RIGHT_NAME}:{server.port}", server.files.ca) as ask:
        await ask()


@pytest.mark.parametrize("opened", CLIENTS)
async def test_all_else_is_refused_in_words(server: Server, opened: Opened) -> None:
    cases = [
        (f"https://{RIGHT_NAME}:{server.port}", server.files.other_ca, UNTRUSTED),
        (f"https://{RIGHT_NAME}:{server.port}", None, UNTRUSTED),
        (f"https://127.0.0.1:{server.port}", server.files.ca, MISNAMED),
        (f"https://{RIGHT_NAME}:{server.plain}", server.files.ca, PLAIN),
    ]
    for url, ca, words in cases:
        async with opened(url, ca) as ask:
            with pytest.raises(Exception) as refused:  # noqa: PT011  # each client has its own; the words are the same
                await ask()
        assert (trouble(refused.value) or "").startswith(words), (url, repr(refused.value))


async def test_keys_are_read_from_the_right_authority_and_name_alone(server: Server) -> None:
    def keys(url: str, ca: Path) -> TokenVerifier:
        known = {"jwks": url, "issuer": ISSUER, "audience": AUDIENCE, "ca_file": ca}
        return TokenVerifier(TokenSettings.model_validate(known))

    url = f"https://{RIGHT_NAME}:{server.port}/jwks"
    assert (await keys(url, server.files.ca).verify(token())).sub
    for wrong in (keys(url, server.files.other_ca), keys(url.replace(RIGHT_NAME, "127.0.0.1"), server.files.ca)):
        with pytest.raises(KeysAway):
            await wrong.verify(token())


def test_what_has_nothing_to_do_with_tls_is_no_trouble_of_it() -> None:
    assert trouble(ConnectionRefusedError(111, "Connect call failed")) is None


def test_one_setting_names_the_authority_of_all_and_a_group_may_have_its_own() -> None:
    orthanc = {**SHARED["orthanc"], "ca_file": "/orthanc.pem"}
    settings = Settings(**{**SHARED, "orthanc": orthanc, "ca_file": "/all.pem"})
    assert (settings.orthanc.ca_file, settings.broker.ca_file) == (Path("/orthanc.pem"), Path("/all.pem"))
    assert settings.tokens.ca_file == Path("/all.pem")


def test_a_server_is_always_verified() -> None:
    context = Dependency().tls()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("mode", ["require", "prefer", "disable", "verify-ca", "verify-full&sslmode=disable"])
def test_a_database_is_verified_or_plain(mode: str) -> None:
    with pytest.raises(ValueError, match="sslmode may be verify-full alone") as refused:
        DatabaseSettings.model_validate({"url": f"postgresql+asyncpg://u:secret@h/d?sslmode={mode}"})
    assert "sslmode" in str(refused.value)


def test_the_driver_of_the_database_is_told_in_its_own_words() -> None:
    plain = DatabaseSettings.model_validate({"url": "postgresql+asyncpg://u:p@h/d"})
    assert address(plain)[1] == {}
    url, options = address(DatabaseSettings.model_validate({"url": "postgresql+asyncpg://u:p@h/d?sslmode=verify-full"}))
    assert url.render_as_string(hide_password=False) == "postgresql+asyncpg://u:p@h/d"
    assert options["ssl"].verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_the_broker_is_asked_over_tls_where_the_url_says_so(scheme: str) -> None:
    broker = make_broker(BrokerSettings.model_validate({"url": f"{scheme}://u:p@h/"}), "test")
    [url] = broker.specification.url
    assert url.startswith(f"{scheme}://h:")
