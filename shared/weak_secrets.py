"""Which secrets are no secrets: defaults that everybody knows, short ones, and a few characters over and over."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from shared.secret_files import secret_paths

SHORTEST = 16
FEWEST_DIFFERENT = 8  # characters; "changemechangeme" has seven
KNOWN = {
    *("secret", "password", "passwort", "changeme", "default", "token", "test", "demo", "root", "admin"),
    *("administrator", "guest", "rabbitmq", "orthanc", "postgres", "examflow", "upload", "registration", "preview"),
}


def complaints(settings: BaseModel) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with each secret of the settings: its field, and why, without the value."""
    for path in secret_paths(type(settings)):
        value = _at(settings, path)
        if isinstance(value, SecretStr):
            why = next(filter(None, map(weakness, _parts(value.get_secret_value()))), None)
            if why:
                yield path, why


def weakness(secret: str | None) -> str | None:
    """Why it is no secret, or None."""
    if secret is None:
        return "is no URL: special characters of a password are written as %XX there"
    if secret.lower() in KNOWN:
        return "is a default that everybody knows"
    if len(secret) < SHORTEST:
        return f"is shorter than {SHORTEST} characters"
    if len(set(secret)) < FEWEST_DIFFERENT:
        return f"has fewer than {FEWEST_DIFFERENT} different characters"
    return None


def _parts(value: str) -> list[str | None]:
    """The passwords in it: that of a URL, or each of several tokens; None for a URL that cannot be read."""
    if "://" not in value:
        return list(value.replace(",", " ").split()) or [""]
    try:
        url = urlsplit(value)
        readable = url.hostname and (url.port or True)
    except ValueError:
        readable = None
    if not readable:
        return [None]
    if url.password is None:  # what an AMQP client says by itself then; PostgreSQL may know its clients otherwise
        return ["guest"] if url.scheme.startswith("amqp") else []
    return [unquote(url.password)]


def _at(settings: BaseModel, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for step in path:
        value = getattr(value, step, None)
    return value
