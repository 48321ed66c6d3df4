"""The `url` of an image: a path under /dicom/, or https on an allow-listed host. It is stored, and never fetched.

Others will show it as a link and follow it, so it must mean the same to every reader (RFC 3986, WHATWG URL): one way
to write it, no credentials, no other port, nothing encoded that would change it, no address in place of a name.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

from shared.errors import FieldError, InvalidInput
from shared.texts import is_harmful

LONGEST_URL = 500
URL = "^[!-~]*$"  # printable ASCII
_PRINTABLE = re.compile(r"[!-~]+")
_HTTPS = re.compile(r"[Hh][Tt][Tt][Pp][Ss]://([A-Za-z0-9.-]+)(?::443)?(?:[/?#].*)?")
# Labels of a name, of which the last is no number in any notation: an IPv4 address ends in one.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)+(?![0-9]){_LABEL}")
# Names of the machine itself, and of what tells a cloud machine its secrets.
_INWARD = re.compile(
    r"(?:.*\.)?(?:localhost|localdomain|localhost6)|metadata\.(?:google\.internal|goog)|instance-data\..*"
)
_ENCODED_AT_MOST = 2  # times


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


def is_host_name(host: str) -> bool:
    """Whether a host can be allowed: a name with a dot, in ASCII and lower case; no address, no machine's own name."""
    return _NAME.fullmatch(host) is not None and _INWARD.fullmatch(host) is None


def _allowed(url: str, hosts: Collection[str]) -> bool:
    plain = _decoded(url)
    if len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url) or plain is None:
        return False
    if "\\" in plain or is_harmful(plain):
        return False
    if url.startswith("/dicom/"):
        return ".." not in plain
    https = _HTTPS.fullmatch(url)
    if https is None:
        return False
    host = https[1].lower()
    return host in hosts and is_host_name(host)


def _decoded(url: str) -> str | None:
    """What the last of several decoders would see; None where it is encoded more often than anyone needs."""
    for _ in range(_ENCODED_AT_MOST + 1):
        plain = unquote(url)
        if plain == url:
            return plain
        url = plain
    return None
