"""What Orthanc's index says of many instances at once: names, parents, and how each came in."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from shared.events import DicomStored, Event, Origin
from shared.orthanc import PARKED, Orthanc
from shared.texts import is_name, name_or_none

log = structlog.get_logger()

_LONGEST = 255  # of a UID, in the ledger: an image with a longer one is noted, and refused when its event is made


@dataclass(frozen=True)
class Found:
    """An instance that Orthanc has. `parked` is the event that its upload could not send."""

    orthanc_id: str
    series_id: str
    study_id: str
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str | None
    size: int
    origin: Origin
    sent_by: str | None
    received: datetime
    parked: Event[DicomStored] | None


async def find_instances(orthanc: Orthanc, ids: Iterable[str]) -> dict[str, Found]:
    """Those of the instances that Orthanc has, in three questions to its index; no file is read."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    instances = await orthanc.bulk(wanted, "Instance")
    series = {one["ID"]: one for one in await orthanc.bulk(wanted, "Series")}
    studies = {one["ID"]: one for one in await orthanc.bulk(wanted, "Study")}
    found: dict[str, Found] = {}
    for instance in instances:
        with contextlib.suppress(KeyError):  # a parent is missing: it was deleted between two of the questions
            parent = series[instance["ParentSeries"]]
            found[instance["ID"]] = _found(instance, parent, studies[parent["ParentStudy"]])
    return found


async def really_gone(orthanc: Orthanc, ids: Iterable[str]) -> list[str]:
    """Those of the instances that Orthanc, asked for each, does not know."""
    return [orthanc_id for orthanc_id in ids if await orthanc.read(f"/instances/{orthanc_id}") is None]


def parked_event(orthanc_id: str, text: str | None) -> Event[DicomStored] | None:
    """The event parked on an image; None where there is none, or something that is no event about it."""
    if text is None:
        return None
    try:
        event = Event[DicomStored].model_validate_json(text)
    except ValidationError:
        event = None
    if event is None or event.data.orthanc_instance_id != orthanc_id:
        log.error("parked.unreadable", orthanc_id=orthanc_id)
        return None
    origin = event.data.origin.model_copy(update={"kind": "upload-recovered"})
    return event.model_copy(update={"data": event.data.model_copy(update={"origin": origin})})


def _found(instance: dict[str, Any], series: dict[str, Any], study: dict[str, Any]) -> Found:
    metadata = instance.get("Metadata", {})
    return Found(
        orthanc_id=instance["ID"],
        series_id=series["ID"],
        study_id=study["ID"],
        patient_id=study.get("ParentPatient", ""),
        study_instance_uid=_uid(study, "StudyInstanceUID"),
        series_instance_uid=_uid(series, "SeriesInstanceUID"),
        sop_instance_uid=_uid(instance, "SOPInstanceUID"),
        sop_class_uid=name_or_none(metadata.get("SopClassUid"), _LONGEST),
        size=int(instance.get("FileSize", 0)),
        origin=_origin(metadata),
        sent_by=metadata.get("HttpUsername"),
        received=_received(metadata.get("ReceptionDate", "")),
        parked=parked_event(instance["ID"], metadata.get(PARKED)),
    )


def _uid(resource: dict[str, Any], name: str) -> str:
    """Without padding; empty, and so refused when its event is made, where it can name nothing."""
    text = str(resource.get("MainDicomTags", {}).get(name, "")).strip(" \0")[:_LONGEST]
    return text if is_name(text) else ""


def _origin(metadata: dict[str, str]) -> Origin:
    """C-STORE is a modality's; all else is an upload; who sent that, a parked context alone says."""
    remote_ip = name_or_none(metadata.get("RemoteIP"), 64)
    if metadata.get("Origin") == "DicomProtocol":
        return Origin(kind="modality", aet=name_or_none(metadata.get("RemoteAET"), 64), remote_ip=remote_ip)
    return Origin(kind="upload-recovered", remote_ip=remote_ip)


def _received(text: str) -> datetime:
    """Orthanc writes its ReceptionDate in UTC, without saying so, such as 20261122T112411."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)
