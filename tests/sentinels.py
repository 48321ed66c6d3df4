"""What names a patient in the files that tests send, and the search for it wherever it may never stand.

Only Orthanc may know it. Searched at the end of a system's life: every log, every metric, every message of every
queue, every table of ours, and all that was answered with an error.
"""

import functools
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
from pydicom import dcmread

from deploy.local.layout import SERVICES
from deploy.local.system import System
from tests import dicom_files, refusals
from tests.integration import scratch

NAME, PATIENT_ID, BORN, STREET = "SENTINEL^PATIENT^NAME", "SENTINEL-PID-7731", "18790314", "SENTINELGASSE 7"
_TAGS = ("PatientName", "PatientID", "PatientBirthDate", "PatientAddress", "ReferringPhysicianName")
_TELLING = 8  # characters; a shorter value may stand anywhere by chance
_AT_ONCE = 5000


@functools.cache
def values() -> frozenset[bytes]:
    """Names, patient IDs and birth dates of the test files, as far as they can be told from anything else."""
    found = {NAME, PATIENT_ID, BORN, STREET}
    with warnings.catch_warnings(action="ignore"):  # some of the files are broken on purpose
        for name in dicom_files.names():
            dataset = dcmread(dicom_files.FOLDER / name, force=True, stop_before_pixels=True, specific_tags=list(_TAGS))
            found |= {str(dataset.get(tag) or "") for tag in _TAGS}
    return frozenset(one.encode() for one in found if len(one) >= _TELLING and one not in ("11111111", "Anonymous"))


def named(content: bytes) -> bytes:
    """The file with the sentinel's name, ID, birth date and address."""
    dataset = dcmread(BytesIO(content))
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, PATIENT_ID, BORN
    dataset.PatientAddress = STREET
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def found_in(system: System) -> list[str]:
    """Each place where a sentinel stands, named without it."""
    places = [*_logs(system), *_metrics(system), *_messages(system), *_tables(system)]
    places += [("an answer that refused something", body) for body in refusals.BODIES]
    return sorted({where for where, content in places if any(one in content for one in values())})


def found_in_logs(root: Path) -> list[str]:
    """The same for a system that is being taken down: its logs."""
    return [path.name for path in root.glob("logs/*") if any(one in path.read_bytes() for one in values())]


def _logs(system: System) -> Iterator[tuple[str, bytes]]:
    for path in system.layout.logs.iterdir():
        yield f"log {path.name}", path.read_bytes()


def _metrics(system: System) -> Iterator[tuple[str, bytes]]:
    for service in SERVICES:
        answer = httpx.get(f"{system.service_url(service)}/metrics", timeout=10, trust_env=False)
        yield f"metrics of {service}", answer.content


def _messages(system: System) -> Iterator[tuple[str, bytes]]:
    auth = ("admin", system.secrets.rabbitmq_admin)
    with httpx.Client(
        base_url=f"http://{system.backing.management}/api", auth=auth, timeout=60, trust_env=False
    ) as api:
        for queue in api.get("/queues/%2F").raise_for_status().json():
            asked = {"count": _AT_ONCE, "ackmode": "ack_requeue_true", "encoding": "auto"}
            yield f"queue {queue['name']}", api.post(f"/queues/%2F/{queue['name']}/get", json=asked).content


def _tables(system: System) -> Iterator[tuple[str, bytes]]:
    """All but the audit trail: what somebody typed in place of an exam is on record there."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'audit_events'"
    for (table,) in scratch.ask(system, "examflow", query):
        rows = scratch.ask(system, "examflow", f'SELECT t::text FROM "{table}" t')
        yield f"table {table}", "\n".join(row for (row,) in rows).encode()
