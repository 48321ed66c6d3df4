"""What may stand in the 128 bytes before `DICM` (PS3.10 7.1): anything but the beginning of something that runs.

A file that is a program, an archive or a web page as well (a polyglot, CVE-2019-11687) is what mail filters and virus
scanners take for an image, and Orthanc unpacks what begins as ZIP. A TIFF preamble is legal and found in real files.
"""

import re

from services.upload_service.errors import PreambleActive

# What the first bytes are the beginning of. No writer of images has a reason for any of these.
_BEGINNINGS = (
    (b"PK", "ZIP"),
    (b"MZ", "Windows (PE)"),
    (b"\x7fELF", "Linux (ELF)"),
    (b"\xfe\xed\xfa\xce", "macOS (Mach-O)"),
    (b"\xfe\xed\xfa\xcf", "macOS (Mach-O)"),
    (b"\xce\xfa\xed\xfe", "macOS (Mach-O)"),
    (b"\xcf\xfa\xed\xfe", "macOS (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "Java, macOS (Mach-O)"),
    (b"#!", "script (#!)"),
    (b"\x1f\x8b", "gzip"),
    (b"Rar!", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"{\\rtf", "RTF"),
    (b"\xd0\xcf\x11\xe0", "Office (OLE)"),
)
# A reader of PDF looks for its sign in the first kilobyte.
_PDF = b"%PDF-"
# Markup, as browsers sniff it (MIME Sniffing, 7.1): behind white space and a byte order mark; further in, what runs.
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?[\s\0]*<[!?/a-z]", re.IGNORECASE)
_RUNS = re.compile(rb"<(?:script|html|svg|iframe|!doctype|\?php)", re.IGNORECASE)


def refuse_active(preamble: bytes) -> None:
    """Raise PreambleActive, naming what the preamble is the beginning of."""
    for beginning, name in _BEGINNINGS:
        if preamble.startswith(beginning):
            raise PreambleActive(what=name)
    if _PDF in preamble:
        raise PreambleActive(what="PDF")
    if _MARKUP.match(preamble) or _RUNS.search(preamble):
        raise PreambleActive(what="HTML, XML")
