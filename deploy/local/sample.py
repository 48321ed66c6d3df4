"""``make run``: a real study from upload to preview through the gateway, with the time of each hop."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.local.errors import LocalSystemError
from deploy.local.layout import DEFAULT_ROOT
from deploy.local.sample_study import SampleFile, sample_study
from deploy.local.show import urls
from deploy.local.system import System, load
from deploy.local.tokens import mint

REGISTERED_SECONDS = 30.0
ACCOUNT, SCOPES = "sample", "dicom:upload images:write images:read exams:write"


@dataclass(frozen=True)
class Hop:
    """What one step answered, and how long it took in milliseconds."""

    answer: dict[str, Any]
    ms: float


@dataclass(frozen=True)
class Shown:
    """One image at the end of its road."""

    file: SampleFile
    upload: Hop
    registration: Hop
    preview_bytes: int
    preview_ms: float


class Road:
    """A front end's calls, timed; an answer that is not the expected one ends the run with its message."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def open_exam(self, exam_id: str) -> None:
        """Open the exam for the sample's account."""
        self._ask(lambda: self._client.put(f"/examens-medicaux/{exam_id}", json={"principals": [f"user:{ACCOUNT}"]}))

    def upload(self, file: SampleFile, exam_id: str) -> Hop:
        """Send one file; its registration follows by itself."""
        parts = {"file": (file.name, file.content, "application/dicom")}
        data = {"examenID": exam_id, "description": f"Sample: {file.kind}"}
        answer, ms = self._ask(lambda: self._client.post("/dicom/upload", files=parts, data=data))
        return Hop(answer.json()["data"], ms)

    def registered(self, orthanc_id: str) -> Hop:
        """Wait until the image has its record."""
        began = time.perf_counter()
        while time.perf_counter() - began < REGISTERED_SECONDS:
            found = self._client.get(f"/dicom/instances/{orthanc_id}/registration")
            if found.status_code == 200 and found.json()["state"] == "registered":
                return Hop(found.json(), _ms(began))
            time.sleep(0.005)
        raise LocalSystemError(f"{orthanc_id} was not registered within {REGISTERED_SECONDS:g} s: {found.text}")

    def preview(self, orthanc_id: str) -> tuple[int, float]:
        """Fetch the picture: its bytes and milliseconds."""
        answer, ms = self._ask(lambda: self._client.get(f"/dicom/instances/{orthanc_id}/preview"))
        return len(answer.content), ms

    def _ask(self, call: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
        began = time.perf_counter()
        answer = call()
        if not answer.is_success:
            raise LocalSystemError(f"{answer.request.method} {answer.request.url.path}: {answer.text}")
        return answer, _ms(began)


def _ms(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def go(road: Road, files: list[SampleFile], exam_id: str, console: Console) -> list[Shown]:
    """Take the files down the whole road, one after the other."""
    shown = []
    with Progress(console=console, transient=True) as progress:
        for file in progress.track(files, description="From upload to preview"):
            upload = road.upload(file, exam_id)
            registration = road.registered(upload.answer["ID"])
            shown.append(Shown(file, upload, registration, *road.preview(upload.answer["ID"])))
    return shown


def send_again(road: Road, shown: list[Shown], exam_id: str) -> str:
    """The same files once more must be known already, with the same records."""
    for one in shown:
        again = road.upload(one.file, exam_id)
        record = road.registered(again.answer["ID"])
        if again.answer["Status"] != "AlreadyStored" or record.answer["imageID"] != one.registration.answer["imageID"]:
            raise LocalSystemError(f"{one.file.name} sent again gave {again.answer['Status']} and another record")
    return f"Sent again: {len(shown)} x AlreadyStored, each with the same record."


def table(shown: list[Shown]) -> Table:
    """What happened to each file."""
    found = Table(title="From upload to preview")
    for name in ("file", "kind"):
        found.add_column(name)
    for name in ("bytes", "modality"):
        found.add_column(name, justify="right")
    for name in ("Orthanc ID", "image record"):
        found.add_column(name, no_wrap=True)
    for name in ("preview bytes", "upload ms", "registered after ms", "preview ms"):
        found.add_column(name, justify="right")
    for one in shown:
        found.add_row(
            one.file.name,
            one.file.kind,
            str(len(one.file.content)),
            str(one.upload.answer["modality"]),
            one.upload.answer["ID"],
            one.registration.answer["imageID"],
            str(one.preview_bytes),
            *(f"{ms:.1f}" for ms in (one.upload.ms, one.registration.ms, one.preview_ms)),
        )
    return found


def run(system: System, console: Console) -> None:
    """Open an exam and walk the road with a fresh study."""
    exam_id = f"SAMPLE-{int(time.time() * 1000)}"
    token = mint(system.layout, ACCOUNT, SCOPES)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{system.url}/api", headers=headers, timeout=60, trust_env=False) as client:
        road = Road(client)
        road.open_exam(exam_id)
        shown = go(road, list(sample_study()), exam_id, console)
        console.print(table(shown))
        console.print(send_again(road, shown, exam_id))
    console.print(f"Exam {exam_id}, account {ACCOUNT!r}: make token SUB={ACCOUNT} SCOPE='{SCOPES}'")
    urls(system, console)


def main() -> None:
    """Entry point of ``python -m deploy.local.sample``."""
    console = Console(width=None if sys.stdout.isatty() else 220)
    system = load(DEFAULT_ROOT)
    if system is None:
        raise SystemExit("The system is not running: 'make up' starts it.")
    try:
        run(system, console)
    except (LocalSystemError, httpx.HTTPError) as error:
        raise SystemExit(f"The sample run failed: {error}") from None


if __name__ == "__main__":
    main()
