"""What the rows speak of, made on a running system: exams, images that are registered or wait, and what is unknown."""

import functools
import io
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from pydicom import dcmread

from deploy.local.system import load
from tests.dicom_files import fresh_study, fresh_uid
from tests.integration.given import name
from tests.rights.roles import ROLES, WARD, credentials
from tests.running import Running, eventually


@dataclass(frozen=True)
class Thing:
    """An image by all its names; nothing needs to be behind them."""

    exam: str
    orthanc_id: str
    image_id: str
    study: str
    series: str
    sop: str
    content: bytes = b""

    def registration(self, exam: str, **changes: Any) -> dict[str, Any]:
        """The body that registers it."""
        return {
            "examenID": exam,
            "studyInstanceUID": self.study,
            "seriesInstanceUID": self.series,
            "sopInstanceUID": self.sop,
            "dateAcquisition": "2024-05-06T07:08:09Z",
            "modalite": "CT",
            "description": "",
            "orthancInstanceId": self.orthanc_id,
        } | changes


class Things:
    """All of them; made when first asked for. One instance is worn out by whatever changed it against the table."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._clients: dict[str, httpx.Client] = {}
        self._credentials: dict[str, dict[str, str]] = {}
        self.accession = name("A")
        self._exams: dict[str, str] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def ask(self, service: str, role: str, method: str, path: str, **request: Any) -> httpx.Response:
        """One request at a service's own port, or at the gateway."""
        if service not in self._clients:
            self._clients[service] = httpx.Client(base_url=self._url(service), timeout=60, trust_env=False)
        if role not in self._credentials:
            self._credentials[role] = credentials(self.running, role)
        headers = self._credentials[role] | request.pop("headers", {})
        return self._clients[service].request(method, path, headers=headers, **request)

    def _url(self, service: str) -> str:
        if service == "gateway":
            return self.running.env["EXAMFLOW_URL"]
        system = load(self.running.root)
        assert system is not None
        return system.service_url(service)  # the reconciler's stands nowhere else

    def open_exam(self, *principals: str, **fields: str) -> str:
        exam = name()
        body = {"principals": list(principals), **fields}
        self.ask("registration", "his", "PUT", f"/examens-medicaux/{exam}", json=body).raise_for_status()
        return exam

    def exam_of(self, role: str) -> str:
        """An exam of this role alone."""
        if role not in self._exams:
            self._exams[role] = self.open_exam(f"user:{ROLES[role].sub}")
        return self._exams[role]

    def upload(self, role: str, content: bytes, **fields: str) -> Thing:
        """An image of this role's; decided, whatever that is."""
        answer = self.ask("upload", role, "POST", "/dicom/upload", **form(content, **fields))
        answer.raise_for_status()
        data = answer.json()["data"]
        orthanc_id, sub = data["ID"], ROLES[role].sub
        eventually(lambda: sub in self.internal(orthanc_id)["uploaders"], what=f"{role}'s event about {orthanc_id}")
        eventually(lambda: self.internal(orthanc_id)["state"] != "seen", what=f"a decision about {orthanc_id}")
        uids = (data["StudyInstanceUID"], data["SeriesInstanceUID"], data["SOPInstanceUID"])
        return Thing("", orthanc_id, "", *uids, content)

    def internal(self, orthanc_id: str) -> dict[str, Any]:
        """What registration knows of it."""
        answer = self.ask("registration", "service", "GET", f"/internal/instances/{orthanc_id}")
        return dict(answer.json()) if answer.status_code == 200 else {"uploaders": [], "state": "seen"}

    def waiting_image(self) -> Thing:
        """Another image of the uploader's, which waits."""
        return self.upload("uploader", picture())

    @functools.cached_property
    def exam(self) -> str:
        """The principals' exam."""
        return self.open_exam("user:princ", f"group:{WARD}", accessionNumber=self.accession)

    @functools.cached_property
    def registered(self) -> Thing:
        """The uploader's image in the principals' exam; not by the uploader, who may not write that."""
        image = self.waiting_image()
        body = image.registration(self.exam)
        answer = self.ask("registration", "oversee", "POST", "/examens-medicaux/images", json=body)
        answer.raise_for_status()
        uids = (image.study, image.series, image.sop)
        return Thing(self.exam, image.orthanc_id, answer.json()["imageID"], *uids, image.content)

    @functools.cached_property
    def waiting(self) -> Thing:
        """The uploader's image that nobody has registered; `other` has one as well."""
        self.upload("other", picture())
        return self.waiting_image()

    @functools.cached_property
    def unknown(self) -> Thing:
        """Nothing."""
        digits = uuid.uuid4().hex + uuid.uuid4().hex[:8]
        orthanc_id = "-".join(digits[i : i + 8] for i in range(0, 40, 8))
        return Thing(name(), orthanc_id, str(uuid.uuid4()), fresh_uid(), fresh_uid(), fresh_uid())

    def state(self) -> list[Any]:
        """All that a refusal must not change."""
        seen: list[Any] = [self.internal(image.orthanc_id) for image in (self.registered, self.waiting)]
        seen.append(self._read("oversee", f"/examens-medicaux/images/{self.registered.image_id}"))
        for exam in (self.exam, *self._exams.values()):
            seen.append(self._read("his", f"/examens-medicaux/{exam}"))
            seen.append(self._read("oversee", f"/examens-medicaux/{exam}/images"))
        return seen

    def _read(self, role: str, path: str) -> Any:
        answer = self.ask("registration", role, "GET", path)
        assert answer.status_code == 200, f"{role} gets {answer.status_code} at {path}"
        return answer.json()


def picture(**tags: str) -> bytes:
    """A DICOM file of a study of its own."""
    content = fresh_study("CT_small.dcm")
    if not tags:
        return content
    dataset = dcmread(io.BytesIO(content))
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def form(content: bytes, **fields: str) -> dict[str, Any]:
    """The request of an upload."""
    return {"files": {"file": ("image.dcm", content, "application/dicom")}, "data": fields}
