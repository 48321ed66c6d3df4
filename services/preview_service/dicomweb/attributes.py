"""Which attributes a search may name: those of its level and above (PS3.18, tables 10.6.1-3 and 10.6.1-5).

Orthanc matches others on one image of a study or series, whichever, and tells them of that: it may be one that the
caller may not see. Of images any attribute may be told, and matched within a study: elsewhere Orthanc would read
every file.
"""

from collections.abc import Mapping, Sequence

from services.preview_service.dicomweb.source import Item
from services.preview_service.dicomweb.visible import Level
from shared.errors import FieldError, InvalidInput

MODALITIES = "00080061"
_STUDY = {
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "AccessionNumber": "00080050",
    "ModalitiesInStudy": MODALITIES,
    "InstitutionName": "00080080",
    "ReferringPhysicianName": "00080090",
    "StudyDescription": "00081030",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "StudyInstanceUID": "0020000D",
    "StudyID": "00200010",
}
_SERIES = {
    "SeriesDate": "00080021",
    "SeriesTime": "00080031",
    "Modality": "00080060",
    "Manufacturer": "00080070",
    "StationName": "00081010",
    "SeriesDescription": "0008103E",
    "BodyPartExamined": "00180015",
    "ProtocolName": "00181030",
    "SeriesInstanceUID": "0020000E",
    "SeriesNumber": "00200011",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
}
_IMAGE = {"SOPClassUID": "00080016", "SOPInstanceUID": "00080018", "InstanceNumber": "00200013"}
_OF = {"study": _STUDY, "series": _STUDY | _SERIES, "instance": _STUDY | _SERIES | _IMAGE}
# Told whatever is asked for: character set, time zone, availability, address, counts.
_ALWAYS = {"00080005", "00080201", "00080056", "00081190", "00201206", "00201208", "00201209"}


def must_match(level: Level, matching: Mapping[str, str], *, in_a_study: bool) -> None:
    """Raise InvalidInput for an attribute that cannot be matched."""
    if level == "instance" and in_a_study:
        return
    wrong = [name for name in matching if _tag(level, name) is None]
    if wrong:
        words = "cannot be matched at this level", "ne peut pas être un critère à ce niveau"
        raise InvalidInput([FieldError(name, *words) for name in wrong])


def included(level: Level, include: Sequence[str]) -> list[str]:
    """What Orthanc is asked to tell besides; what is not of the level is left out."""
    if level == "instance":
        return list(include)
    named = list(_OF[level].values()) if "all" in include else [_tag(level, name) for name in include]
    return [tag for tag in named if tag is not None]


def told(level: Level, item: Item) -> Item:
    """A result without what is not of its level."""
    if level == "instance":
        return item
    tags = _ALWAYS | set(_OF[level].values())
    return {tag: value for tag, value in item.items() if tag in tags}


def _tag(level: Level, name: str) -> str | None:
    known = _OF[level]
    return known.get(name) or (name.upper() if name.upper() in known.values() else None)
