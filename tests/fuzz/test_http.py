"""Every operation of the three services, with values that fit their OpenAPI and values that do not.

What comes back has a status that the document names, and the form that it names for it; no error is unforeseen.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import BaseSchema, Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.layout import REPO
from tests.running import Running

SCOPES = "dicom:upload images:write images:read exams:write exams:all ops audit:read"
PROBLEM = {"type", "title", "status", "detail", "message", "correlationId"}
WORK_QUEUES = ("registration.dicom-stored", "registration.exam-upserted")
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
bounded = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def of(service: str) -> BaseSchema:
    document = json.loads((REPO / "docs" / "openapi" / f"{service}.json").read_text())
    schema = schemathesis.openapi.from_dict(document)
    schema.config.phases.update(phases=["examples", "fuzzing"])
    return schema


@pytest.fixture(scope="module")
def session(running: Running) -> Iterator[requests.Session]:
    """Someone who may do everything; what it paused goes on afterwards."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {running.token('fuzz', SCOPES, lifetime=7200)}"
        yield session
        for queue in WORK_QUEUES:
            session.delete(f"{running.env['REGISTRATION_URL']}/ops/consumers/{queue}/pause", timeout=30)


def answers_as_documented(case: Case[Any], url: str, session: requests.Session) -> None:
    answer = case.call(base_url=url, session=session, timeout=60)
    case.validate_response(answer, checks=CHECKS)
    assert answer.headers.get("x-correlation-id")
    if answer.status_code >= 400 and not case.path.startswith("/health"):
        assert answer.json().keys() >= PROBLEM
        assert answer.json()["status"] == answer.status_code


@of("upload").parametrize()
@bounded
def test_upload(case: Case[Any], running: Running, session: requests.Session) -> None:
    answers_as_documented(case, running.env["UPLOAD_URL"], session)


@of("registration").parametrize()
@bounded
def test_registration(case: Case[Any], running: Running, session: requests.Session) -> None:
    answers_as_documented(case, running.env["REGISTRATION_URL"], session)


@of("preview").parametrize()
@bounded
def test_preview(case: Case[Any], running: Running, session: requests.Session) -> None:
    answers_as_documented(case, running.env["PREVIEW_URL"], session)
