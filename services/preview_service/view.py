"""How a frame is to be shown, and what is made of it and kept."""

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

RENDERER = "1"  # part of every key: a change in how pictures are made changes it


class Key(NamedTuple):
    """What a picture is kept under: the stored file's digest, and a name for that and all that shapes the picture."""

    digest: str
    name: str

    @classmethod
    def of(cls, digest: str, *shape: object) -> "Key":
        """Of what is made in this shape from the file with this digest."""
        return cls(digest, hashlib.sha256(repr((digest, *shape, RENDERER)).encode()).hexdigest()[:32])

    @property
    def etag(self) -> str:
        """A strong validator (RFC 9110, 8.8.3). It survives restarts, and is the same on every replica."""
        return f'"{self.name}"'


@dataclass(frozen=True)
class Picture:
    """An encoded picture (or what is told about one), and when it was made, in seconds since 1970."""

    content: bytes
    made: float


@dataclass(frozen=True)
class View:
    """Frame from 1, JPEG quality, the box to fit inside (None: Orthanc's own size), and the media type.

    `window`: center and width of the values that are shown (PS3.3 C.11.2.1.2); None: as Orthanc chooses.
    """

    frame: int
    quality: int
    width: int | None
    height: int | None
    content_type: str
    window: tuple[float, float] | None = None

    def key(self, digest: str) -> Key:
        """Of this view of the file with this digest."""
        return Key.of(digest, self.frame, self.quality, self.width, self.height, self.content_type, self.window)

    def unscaled(self) -> "View":
        """The picture that this one is made from; the same where nothing is scaled."""
        return replace(self, width=None, height=None)
