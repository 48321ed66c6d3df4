"""An audit record as FHIR tells it."""

from typing import Any

import pytest

from services.operator.fhir import audit_event, bundle

RECORD: dict[str, Any] = {
    "recordId": "01970b3e-8f29-7d10-8a11-5b0e6c2d9f30",
    "time": "2026-03-08T09:30:00.241Z",
    "service": "preview",
    "actor": "alice",
    "action": "image.view",
    "outcome": "done",
    "examenID": "EX-1",
    "subject": "1.2.3",
    "reason": None,
    "correlationId": "corr-1",
    "remoteIP": "10.0.0.1",
}


def test_a_view() -> None:
    assert audit_event(RECORD) == {
        "resourceType": "AuditEvent",
        "id": "01970b3e-8f29-7d10-8a11-5b0e6c2d9f30",
        "type": {
            "system": "http://dicom.nema.org/resources/ontology/DCM",
            "code": "110103",
            "display": "DICOM Instances Accessed",
        },
        "subtype": [{"system": "urn:examflow:audit-action", "code": "image.view"}],
        "action": "R",
        "recorded": "2026-03-08T09:30:00.241Z",
        "outcome": "0",
        "outcomeDesc": "done",
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://dicom.nema.org/resources/ontology/DCM",
                            "code": "110153",
                            "display": "Source Role ID",
                        }
                    ]
                },
                "who": {"identifier": {"value": "alice"}},
                "requestor": True,
                "network": {"address": "10.0.0.1", "type": "2"},
            },
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://dicom.nema.org/resources/ontology/DCM",
                            "code": "110152",
                            "display": "Destination Role ID",
                        }
                    ]
                },
                "who": {"identifier": {"value": "examflow/preview"}},
                "requestor": False,
            },
        ],
        "source": {"observer": {"identifier": {"value": "examflow/preview"}}},
        "entity": [
            {
                "what": {"identifier": {"system": "urn:examflow:examenID", "value": "EX-1"}},
                "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2"},
            },
            {
                "what": {"identifier": {"system": "urn:dicom:uid", "value": "1.2.3"}},
                "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2"},
            },
            {
                "what": {"identifier": {"system": "urn:examflow:correlationId", "value": "corr-1"}},
                "type": {
                    "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
                    "code": "XrequestId",
                },
            },
        ],
    }


@pytest.mark.parametrize(
    ("changes", "action", "outcome"),
    [
        ({"outcome": "denied"}, "R", "4"),
        ({"outcome": "failed"}, "R", "8"),
        ({"action": "image.upload", "outcome": "stored"}, "C", "0"),
        ({"action": "exam.upsert", "outcome": "created"}, "U", "0"),
        ({"action": "images.list"}, "R", "0"),
    ],
)
def test_what_was_done_and_how_it_ended(changes: dict[str, str], action: str, outcome: str) -> None:
    told = audit_event(RECORD | changes)
    assert (told["action"], told["outcome"]) == (action, outcome)


def test_an_unknown_actor_without_an_address() -> None:
    told = audit_event(RECORD | {"actor": "unknown", "remoteIP": None})
    assert "network" not in told["agent"][0]


def test_a_bundle() -> None:
    told = bundle([RECORD, RECORD])
    assert (told["resourceType"], told["type"], len(told["entry"])) == ("Bundle", "collection", 2)
