"""A small real OIDC issuer: discovery, JWKS and a token endpoint (client_credentials) over HTTP, and what can go wrong.

OpenID Connect Discovery 1.0, RFC 7517, RFC 6749 section 4.4. It runs in a thread of its own.
"""

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "examflow"
CLIENT, SECRET = "his", "the secret of the his"
MIB = 1024 * 1024
_BOMB = zlib.compress(b" " * 100 * MIB, 1)


class Issuer:
    """One issuer. `keys` are what its JWKS shows, `signing` names the one that signs; `behave` says how it answers."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.signing = ""
        self.behave: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.jwks_reads = 0
        self.let_go = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Answer, at the same address as ever."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        self._server.daemon_threads, self._port = True, self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Nobody listens there any more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def rotate(self, kid: str) -> None:
        """A new key stands in the JWKS beside the others, and signs from now on."""
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signing = kid

    def drop(self, kid: str) -> None:
        """A key stands in the JWKS no more."""
        del self.keys[kid]

    def jwks(self) -> dict[str, Any]:
        public = [(kid, RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)) for kid, key in self.keys.items()]
        return {"keys": [{**jwk, "kid": kid, "use": "sig", "alg": "RS256"} for kid, jwk in public]}

    def sign(self, sub: str, scope: str, kid: str = "", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": sub, "scope": scope, "iat": now, "exp": now + 300, **claims}
        kid = kid or self.signing
        return jwt.encode(said, self.keys[kid], "RS256", {"kid": kid})

    def token(self, scope: str = "dicom:upload") -> str:
        """A token as a client comes by it: discovery, then client_credentials."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            found = client.get(f"{self.url}/.well-known/openid-configuration").raise_for_status().json()
            assert found["issuer"] == self.url
            form = {"grant_type": "client_credentials", "scope": scope}
            answer = client.post(found["token_endpoint"], data=form, auth=(CLIENT, SECRET)).raise_for_status().json()
        assert answer["token_type"] == "Bearer"
        return str(answer["access_token"])


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server asks for
            if self.path == "/.well-known/openid-configuration":
                found = {
                    "issuer": issuer.url,
                    "jwks_uri": f"{issuer.url}/jwks",
                    "token_endpoint": f"{issuer.url}/token",
                }
                return say(self, json.dumps(found).encode())
            if self.path != "/jwks":
                return say(self, b"{}", 404)
            issuer.jwks_reads += 1
            try:
                return issuer.behave(self) if issuer.behave else say(self, json.dumps(issuer.jwks()).encode())
            except OSError:  # the reader had enough
                return None

        def do_POST(self) -> None:  # the same
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            if self.headers["Authorization"] != f"Basic {known}" or form["grant_type"] != ["client_credentials"]:
                return say(self, b'{"error": "invalid_client"}', 401)
            access = issuer.sign(CLIENT, " ".join(form.get("scope", [])))
            return say(self, json.dumps({"access_token": access, "token_type": "Bearer", "expires_in": 300}).encode())

        def log_message(self, *_: object) -> None: ...

    return Handler


def say(request: BaseHTTPRequestHandler, content: bytes, status: int = 200, **headers: str) -> None:
    """One whole answer."""
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def slowly(issuer: Issuer, seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """The truth, after a while."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        say(request, json.dumps(issuer.jwks()).encode())

    return answer


def silently(issuer: Issuer) -> Callable[[BaseHTTPRequestHandler], None]:
    """Not a word until `let_go`."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        issuer.let_go.wait(60)

    return answer


def drop_by_drop(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then: each read is quick, the whole is not."""
    request.send_response(200)
    request.end_headers()
    for _ in range(600):
        request.wfile.write(b" ")
        time.sleep(0.1)


def garbage(request: BaseHTTPRequestHandler) -> None:
    """What a proxy in front of it says."""
    say(request, b"<html><h1>Maintenance</h1></html>", Content_Type="text/html")


def a_server_error(request: BaseHTTPRequestHandler) -> None:
    """The same, honestly."""
    say(request, b"{}", 500)


def a_hundred_megabytes(request: BaseHTTPRequestHandler) -> None:
    """A body that nobody should hold."""
    request.send_response(200)
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b" " * MIB)


def a_bomb(request: BaseHTTPRequestHandler) -> None:
    """The same in half a megabyte."""
    say(request, _BOMB, Content_Encoding="deflate")


def elsewhere(url: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A redirect."""
    return lambda request: say(request, b"", 302, Location=url)
