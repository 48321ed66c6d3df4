"""The `url` of an image: a path under /dicom/, or https on an allow-listed host. It is stored, and never fetched."""

from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from shared.errors import FieldError, InvalidInput


def check_url(url: str | None, hosts: Collection[str]) -> None:
    """Raise InvalidInput, naming `url`, unless it is allowed. None is."""
    if url is not None and not _allowed(url, hosts):
        raise InvalidInput(
            [
                FieldError(
                    "url",
                    "must be a path under /dicom/ or https on a host that the operators allow",
                    "doit être un chemin sous /dicom/ ou en https sur un hôte autorisé par l'exploitation",
                    url,
                )
            ]
        )


def _allowed(url: str, hosts: Collection[str]) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    if url.startswith("/dicom/"):
        return ".." not in unquote(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and port in (None, 443)
    return parts.scheme == "https" and plain and parts.hostname in hosts
