"""Signed URLs of pictures: what one says, whether we have said it, and for how long it holds.

    /dicom/signed/<signature>/<instance>.<frame>.<quality>.<width>.<height>.<expiry>.<rights>.jpeg

It names no user: all who ask for the same picture in the same window are given the same URL, so that a CDN keeps the
bytes once. `rights` is a keyed hash of exam and rights epoch: a CDN's logs tell neither. What is signed is the text as
it stands, and the signature is compared as text: nothing in it can be written in another way.
"""

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.preview_service.errors import UrlExpired, UrlForged
from services.preview_service.negotiation import JPEG, PNG
from services.preview_service.settings import SignedSettings
from services.preview_service.view import View

BASE = "/dicom/signed"
MAC_BYTES = 16  # half of SHA-256, the least that RFC 2104, 5 takes
_ENDINGS = {JPEG: "jpeg", PNG: "png"}
_TYPES = {ending: kind for kind, ending in _ENDINGS.items()}


@dataclass(frozen=True)
class Signed:
    """What a URL of ours says: the picture, until when (seconds since 1970), and for whose rights."""

    orthanc_id: str
    view: View
    expires: int
    rights: str
    secret: str = field(repr=False)


class Signer:
    """Makes URLs, and reads them. The first secret signs, each is believed; without one there are none."""

    def __init__(self, settings: SignedSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._secrets = settings.secrets()
        self._clock = clock

    @property
    def signs(self) -> bool:
        """Whether URLs are given out here."""
        return bool(self._secrets)

    def url(self, orthanc_id: str, view: View, exam_id: str, epoch: int) -> tuple[str, int]:
        """The URL of a view of an instance in this exam, and when it ends: one to two windows from now."""
        window, secret = self._settings.window_seconds, self._secrets[0]
        expires = (int(self._clock()) // window + 2) * window
        said = (orthanc_id, view.frame, view.quality, view.width or 0, view.height or 0, expires)
        text = ".".join(map(str, (*said, _rights(secret, exam_id, epoch), _ENDINGS[view.content_type])))
        return f"{self._settings.public_url}{BASE}/{_mac(secret, 'url', text)}/{text}", expires

    def read(self, signature: str, text: str) -> Signed:
        """What we have signed. Raises UrlForged."""
        believed = [secret for secret in self._secrets if is_genuine(secret, signature, text)]
        if not believed:
            raise UrlForged
        orthanc_id, frame, quality, width, height, expires, rights, ending = text.split(".")
        view = View(int(frame), int(quality), int(width) or None, int(height) or None, _TYPES[ending])
        return Signed(orthanc_id, view, int(expires), rights, believed[0])

    def seconds_left(self, signed: Signed) -> int:
        """Whole seconds until it ends, 1 at least. Raises UrlExpired."""
        now = self._clock()
        if not is_in_time(signed.expires, now):
            raise UrlExpired().hiding(None, signed.orthanc_id)
        return int(signed.expires - now)


def is_genuine(secret: str, signature: str, text: str) -> bool:
    """Whether the text was signed with this secret."""
    return hmac.compare_digest(_mac(secret, "url", text).encode(), signature.encode())


def is_in_time(expires: int, now: float) -> bool:
    """Whether a whole second is left: nginx takes `s-maxage=0` of a 304 for none, and keeps what it has for longer."""
    return expires - now >= 1


def is_for_rights(signed: Signed, exam_id: str | None, epoch: int | None) -> bool:
    """Whether it was signed while the image was in this exam, and the exam had this epoch."""
    return hmac.compare_digest(_rights(signed.secret, exam_id, epoch).encode(), signed.rights.encode())


def _rights(secret: str, exam_id: str | None, epoch: int | None) -> str:
    return _mac(secret, "rights", exam_id, epoch)


def _mac(secret: str, *said: object) -> str:
    """HMAC-SHA256 in base64url; no part but the last holds a line break."""
    digest = hmac.digest(secret.encode(), "\n".join(map(str, said)).encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:MAC_BYTES]).decode().rstrip("=")
