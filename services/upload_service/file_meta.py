"""The file meta information (PS3.10 7.1): what the data set behind it is written in, and where it begins."""

from dataclasses import dataclass

from services.upload_service.encoding import EXPLICIT, IMPLICIT, UNDEFINED, is_known
from services.upload_service.errors import CutOff, DicomBroken

_BEGINS = 132  # behind the preamble and its prefix
_LENGTH, _MEDIA_CLASS, _SYNTAX = 0x00020000, 0x00020002, 0x00020010
_FIRST = 144  # behind the group length, where it is


@dataclass(frozen=True)
class FileMeta:
    """Transfer syntax and media storage SOP class, empty where there is none, and where the data set begins."""

    syntax: str
    media_class: str
    data_set_at: int


def read_file_meta(begin: bytes, *, whole: bool) -> FileMeta | None:
    """None where more bytes are needed. Raises DicomBroken where it has a sequence, is cut off, or lies about that."""
    # It is explicit; some writers have it implicit. Its group length may be missing.
    encoding = EXPLICIT if is_known(begin[_BEGINS + 4 : _BEGINS + 6]) else IMPLICIT
    told: int | None = None
    boundaries = {_FIRST}
    at, values = _BEGINS, {_SYNTAX: "", _MEDIA_CLASS: ""}
    while (head := encoding.head(begin, at)) and head[0] >> 16 == 2:
        tag, vr, length, value = head
        if length == UNDEFINED or vr == b"SQ":  # Orthanc would recurse into it
            raise DicomBroken(what_en="its file meta has a sequence", what_fr="son en-tête de fichier a une séquence")
        if tag in values and not values[tag]:
            values[tag] = begin[value : value + length].decode("latin-1").strip(" \0")
        elif tag == _LENGTH and told is None:
            told = int.from_bytes(begin[value : value + 4], "little")
        at = value + length
        boundaries.add(at)
    if head is None and not whole:
        return None
    if at > len(begin):
        raise CutOff
    _must_end_with_an_element(told, boundaries)
    return FileMeta(values[_SYNTAX], values[_MEDIA_CLASS], at)


def _must_end_with_an_element(told: int | None, boundaries: set[int]) -> None:
    """Orthanc takes as many bytes as the group length says, seeks elements in them, and goes astray in a cut one."""
    if told is not None and _FIRST + told not in boundaries:
        raise DicomBroken(
            what_en="its file meta lies about its length", what_fr="son en-tête de fichier ment sur sa longueur"
        )
