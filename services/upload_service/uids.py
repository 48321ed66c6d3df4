"""Which UIDs are usable (PS3.5 9.1): digits in components divided by dots, at most 64 characters, none empty.

A component with a leading zero breaks the rule too. The UID of a SOP class comes from the standard or a conformance
statement, so there it is refused. The UIDs of an image, its series and its study were made up by a device; some devices
pad them with zeros, nothing here reads them as numbers, and the image cannot be taken again: there it is taken.
"""

import re

LONGEST = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_STRICT = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def usable_instance(uid: str) -> bool:
    """Of a SOP instance, a series or a study."""
    return len(uid) <= LONGEST and _UID.fullmatch(uid) is not None


def usable_class(uid: str) -> bool:
    """Of a SOP class or a transfer syntax."""
    return len(uid) <= LONGEST and _STRICT.fullmatch(uid) is not None
