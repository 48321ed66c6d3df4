"""The id that Orthanc gives an instance: the one link between what DICOMweb tells and what the ledger knows.

UIDs alone do not do: two patients' studies may carry the same, by mistake or on purpose, and who may see the one would
be shown the other.
"""

import hashlib
from typing import Any

PATIENT_ID, STUDY, SERIES, SOP = "00100020", "0020000D", "0020000E", "00080018"


def orthanc_id(*identity: str) -> str:
    """Of PatientID, Study, Series and SOP Instance UID (Orthanc's documentation, "Orthanc identifiers")."""
    hexed = hashlib.sha1("|".join(identity).encode(), usedforsecurity=False).hexdigest()
    return "-".join(hexed[begin : begin + 8] for begin in range(0, 40, 8))


def text(item: dict[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM JSON (PS3.18, F.2); empty where there is none."""
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])
