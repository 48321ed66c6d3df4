"""Readers who take nothing of a large file: they are cut, and meanwhile pictures are shown to everybody else."""

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from deploy.local.system import System
from tests.dicom_files import fresh, fresh_uid
from tests.integration import given
from tests.integration.replicas import Replica, started
from tests.running import Running, eventually, registered, upload
from tests.unit.dicom_bytes import dicom

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
MIB = 1024 * 1024
STREAMS, WAIT_SECONDS, WINDOW_SECONDS = 4, 1.0, 8.0
CUT, FLOWING = "examflow_downloads_cut_total", "examflow_orthanc_streams"


@pytest.fixture
def replica(system: System, request: pytest.FixtureRequest) -> Iterator[Replica]:
    """A preview with few streams and little patience."""
    if request.config.getoption("--backends") != "local":
        pytest.skip("starts a local process")
    settings = {
        "EXAMFLOW_ORTHANC__STREAMS": str(STREAMS),
        "EXAMFLOW_ORTHANC__STREAMS_WAIT_SECONDS": str(WAIT_SECONDS),
        "EXAMFLOW_DOWNLOADS__WINDOW_SECONDS": str(WINDOW_SECONDS),
    }
    with started(system, "preview", **settings) as found:
        yield found


@contextlib.contextmanager
def _never_reading(url: str, path: str, token: str) -> Iterator[socket.socket]:
    where = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((where.hostname, where.port))
        head = f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def test_they_are_cut_and_nobody_else_notices(running: Running, replica: Replica) -> None:
    exam, alice, token = given.name(), running.client("alice"), running.token("alice", "images:read")
    running.open_exam(exam, "user:alice")
    content = dicom(ExplicitVRLittleEndian, pixels=b"p" * 24 * MIB, **{uid: fresh_uid() for uid in UIDS})
    large, small = (upload(alice, one, examenID=exam).json()["data"] for one in (content, fresh("CT_small.dcm")))
    for one in (large, small):
        registered(alice, one["ID"])
    path = f"/dicom/wado/{large['SOPInstanceUID']}"
    http = httpx.Client(base_url=replica.url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
    with contextlib.ExitStack() as readers, http:
        for _ in range(STREAMS):
            readers.enter_context(_never_reading(replica.url, path, token))
        eventually(lambda: replica.metric(FLOWING) == STREAMS, what="files that flow")
        assert http.get(f"/dicom/instances/{small['ID']}/preview").status_code == 200
        began = time.monotonic()
        refused = http.get(path)
        assert time.monotonic() - began < 3 * WAIT_SECONDS
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/orthanc-busy")
        assert "retry-after" in refused.headers
        eventually(lambda: replica.metric(CUT) == STREAMS, 3 * 2 * WINDOW_SECONDS, "their end")
        eventually(lambda: replica.metric(FLOWING) == 0, what="streams that come back")
        assert http.get(path).content == content
