"""The transfer syntaxes that are taken (PS3.5 A, PS3.6 A-1): what a file of images is written in and Orthanc can store.

Not taken: pixels that lie elsewhere (JPIP: the file names an address from which they would be fetched), video flows
(SMPTE ST 2110), what was never a way to write a file of images (RFC 2557, XML, Papyrus), and what is not known here.
"""

from typing import Annotated

from pydantic import AfterValidator
from pydicom.uid import UID

from services.upload_service.errors import SyntaxRefused
from services.upload_service.uids import usable_class

IMPLICIT_VR, DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
TAKEN = {
    IMPLICIT_VR: "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    DEFLATED: "Deflated Explicit VR Little Endian",
    BIG_ENDIAN: "Explicit VR Big Endian (retired, found in archives)",
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection, 8 (retired, found in archives)",
    "1.2.840.10008.1.2.4.55": "JPEG Full Progression, 10-12 (retired, found in archives)",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.92": "JPEG 2000 Part 2 Multi-component, Lossless",
    "1.2.840.10008.1.2.4.93": "JPEG 2000 Part 2 Multi-component",
    "1.2.840.10008.1.2.4.100": "MPEG2 Main Level",
    "1.2.840.10008.1.2.4.100.1": "MPEG2 Main Level, fragmentable",
    "1.2.840.10008.1.2.4.101": "MPEG2 High Level",
    "1.2.840.10008.1.2.4.101.1": "MPEG2 High Level, fragmentable",
    "1.2.840.10008.1.2.4.102": "MPEG-4 AVC High Profile 4.1",
    "1.2.840.10008.1.2.4.102.1": "MPEG-4 AVC High Profile 4.1, fragmentable",
    "1.2.840.10008.1.2.4.103": "MPEG-4 AVC BD-compatible",
    "1.2.840.10008.1.2.4.103.1": "MPEG-4 AVC BD-compatible, fragmentable",
    "1.2.840.10008.1.2.4.104": "MPEG-4 AVC 4.2, 2D",
    "1.2.840.10008.1.2.4.104.1": "MPEG-4 AVC 4.2, 2D, fragmentable",
    "1.2.840.10008.1.2.4.105": "MPEG-4 AVC 4.2, 3D",
    "1.2.840.10008.1.2.4.105.1": "MPEG-4 AVC 4.2, 3D, fragmentable",
    "1.2.840.10008.1.2.4.106": "MPEG-4 AVC Stereo",
    "1.2.840.10008.1.2.4.106.1": "MPEG-4 AVC Stereo, fragmentable",
    "1.2.840.10008.1.2.4.107": "HEVC Main",
    "1.2.840.10008.1.2.4.108": "HEVC Main 10",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 Lossless, RPCL",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}


def _uid(text: str) -> str:
    if not usable_class(text):
        raise ValueError("is no UID")
    return text


SyntaxUid = Annotated[str, AfterValidator(_uid)]


def must_be_taken(syntax: str, taken: frozenset[str]) -> None:
    """Raise SyntaxRefused, naming the UID and what it is, for one that is not taken."""
    if syntax in taken:
        return
    uid = UID(syntax) if usable_class(syntax) else UID("?")
    raise SyntaxRefused(uid=f"{uid} ({uid.name})" if uid.name != uid else str(uid))
