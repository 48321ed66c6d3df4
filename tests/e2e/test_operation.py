"""What an operator sees: health, metrics, and one correlation id from the request to the consumer."""

import functools
from pathlib import Path

import pytest

from tests import dicom_files
from tests.running import Running, eventually, registered, upload

SERVICES = {
    "UPLOAD_URL": {"orthanc", "rabbitmq", "keys"},
    "REGISTRATION_URL": {"orthanc", "postgresql", "rabbitmq", "keys"},
    "PREVIEW_URL": {"orthanc", "registration", "keys"},
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_live_and_ready(running: Running, name: str) -> None:
    service = running.at(name)
    assert service.get("/health/live").json() == {"status": "live"}
    ready = service.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": dict.fromkeys(SERVICES[name], "ok")},
    )


@pytest.mark.parametrize("name", SERVICES)
def test_the_api_page_needs_no_other_host(running: Running, name: str) -> None:
    page = running.at(name).get("/docs").text
    assert "swagger-ui" in page
    assert "//cdn" not in page
    assert "https://" not in page


def test_metrics_tell_what_happened(running: Running) -> None:
    running.open_exam("EX-METRICS", "user:alice")
    alice = running.client()
    content = dicom_files.fresh("CT_small.dcm")
    before = {name: _metrics(running, name) for name in SERVICES}
    data = upload(alice, content, examenID="EX-METRICS").json()["data"]
    registered(alice, data["ID"])
    alice.get(f"/dicom/instances/{data['ID']}/preview?quality=61")  # which nobody makes ahead
    upload(alice, b"not DICOM")
    after = {name: _metrics(running, name) for name in SERVICES}

    def grown(service: str, metric: str) -> float:
        return after[service].get(metric, 0) - before[service].get(metric, 0)

    assert grown("UPLOAD_URL", "examflow_uploads_succeeded_total") == 1
    assert grown("UPLOAD_URL", 'examflow_uploads_failed_total{cause="not-dicom"}') == 1
    assert grown("UPLOAD_URL", "examflow_upload_stored_bytes_total") == len(content)
    assert grown("UPLOAD_URL", "examflow_upload_seconds_count") == 1
    done = 'examflow_events_consumed_total{outcome="done",queue="registration.dicom-stored"}'
    assert grown("REGISTRATION_URL", done) == 1
    assert grown("PREVIEW_URL", 'examflow_preview_render_seconds_count{modality="CT"}') >= 1
    for name in SERVICES:
        assert any(metric.startswith("http_request_duration_seconds") for metric in after[name])
    assert any(metric.startswith("faststream_published_messages_total") for metric in after["UPLOAD_URL"])
    assert any(metric.startswith("faststream_received_processed_messages") for metric in after["REGISTRATION_URL"])


def test_one_correlation_id_from_the_request_to_the_consumers_line(running: Running) -> None:
    logs = running.root / "logs"
    if not logs.is_dir():
        pytest.skip("the logs of containers are not files here")
    answer = running.client().post(
        "/dicom/upload",
        files={"file": ("a.dcm", dicom_files.fresh("CT_small.dcm"), "application/dicom")},
        headers={"X-Correlation-ID": "one-id-for-all"},
    )
    registered(running.client(), answer.json()["data"]["ID"], "waiting")
    for service, event in (("upload", "upload.stored"), ("registration", "image.decided")):
        log = logs / f"{service}.log"  # written by another process, a moment later
        eventually(functools.partial(_says, log, "one-id-for-all", f'"event": "{event}"'), what=event)


def _says(log: Path, *words: str) -> bool:
    return any(all(word in line for word in words) for line in log.read_text().splitlines())


def _metrics(running: Running, name: str) -> dict[str, float]:
    lines = running.at(name).get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {metric: float(value) for metric, value in pairs}
