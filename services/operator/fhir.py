"""An audit record as a FHIR R4 AuditEvent, after IHE's Basic Audit Log Patterns (BALP)."""

from collections.abc import Iterable, Mapping
from typing import Any

DCM = "http://dicom.nema.org/resources/ontology/DCM"
_ACTIONS = "urn:examflow:audit-action"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
# DICOM PS3.16 CID 400, the codes that FHIR's AuditEvent.type takes.
_TYPES = {
    "image.view": ("110103", "DICOM Instances Accessed"),
    "image.download": ("110103", "DICOM Instances Accessed"),
    "dicomweb.search": ("110112", "Query"),
    "image.upload": ("110104", "DICOM Instances Transferred"),
    "image.tell": ("110104", "DICOM Instances Transferred"),
    "accesses.read": ("110101", "Audit Log Used"),
}
_OTHER_TYPE = ("110110", "Patient Record")
_VERBS = {"upload": "C", "tell": "C", "register": "U", "upsert": "U", "move": "U", "unlink": "U", "assign": "U"}
_ENDED = {"denied": "4", "unknown": "4", "refused": "4", "failed": "8"}


def bundle(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A Bundle of type collection."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": audit_event(record)} for record in records],
    }


def audit_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record of `GET /examens-medicaux/{examenID}/accesses` as an AuditEvent."""
    code, display = _TYPES.get(record["action"], _OTHER_TYPE)
    service = {"identifier": {"value": f"examflow/{record['service']}"}}
    return {
        "resourceType": "AuditEvent",
        "id": record["recordId"],
        "type": {"system": DCM, "code": code, "display": display},
        "subtype": [{"system": _ACTIONS, "code": record["action"]}],
        "action": _VERBS.get(record["action"].partition(".")[2], "R"),
        "recorded": record["time"],
        "outcome": _ENDED.get(record["outcome"], "0"),
        "outcomeDesc": ": ".join(filter(None, (record["outcome"], record["reason"]))),
        "agent": [
            _agent(record),
            {"type": _dicom("110152", "Destination Role ID"), "who": service, "requestor": False},
        ],
        "source": {"observer": service},
        "entity": list(_entities(record)),
    }


def _agent(record: Mapping[str, Any]) -> dict[str, Any]:
    who = {
        "type": _dicom("110153", "Source Role ID"),
        "who": {"identifier": {"value": record["actor"] or "unknown"}},
        "requestor": True,
    }
    # Network type 2: an IP address.
    return who | ({"network": {"address": record["remoteIP"], "type": "2"}} if record["remoteIP"] else {})


def _entities(record: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if record["examenID"]:
        yield _entity("urn:examflow:examenID", record["examenID"], _ENTITY, "2")
    if record["subject"]:
        system = "urn:dicom:uid" if record["subject"].replace(".", "").isdigit() else "urn:examflow:subject"
        yield _entity(system, record["subject"], _ENTITY, "2")
    if record["correlationId"]:
        yield _entity("urn:examflow:correlationId", record["correlationId"], _BALP_ENTITY, "XrequestId")


def _entity(system: str, value: str, type_system: str, type_code: str) -> dict[str, Any]:
    return {
        "what": {"identifier": {"system": system, "value": value}},
        "type": {"system": type_system, "code": type_code},
    }


def _dicom(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": DCM, "code": code, "display": display}]}
