"""A hospital ward for DICOMweb: two exams, images in them, and viewers."""

import io
from dataclasses import dataclass
from typing import Any

import httpx
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from tests import dicom_files
from tests.integration import given
from tests.running import Running, registered, upload

EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class Stored:
    """An image, with its UIDs."""

    content: bytes
    orthanc_id: str
    study: str
    series: str
    sop: str

    @property
    def path(self) -> str:
        return f"/dicom-web/studies/{self.study}/series/{self.series}/instances/{self.sop}"

    @property
    def uids(self) -> tuple[str, str, str]:
        return self.study, self.series, self.sop


class Ward:
    """Alice's and bob's exams, and how images come into them."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.exams = {who: given.name() for who in ("alice", "bob")}
        for who, exam in self.exams.items():
            running.open_exam(exam, f"user:{who}")

    def store(self, who: str, name: str = "CT_small.dcm", **tags: str) -> Stored:
        """In an exam of theirs; `tags` are given to it first."""
        return self.stored(who, self.exams[who], tagged(dicom_files.fresh_study(name), **tags))

    def stored(self, who: str, exam: str | None, content: bytes) -> Stored:
        client = self.running.client(who)
        data = upload(client, content, **({"examenID": exam} if exam else {})).json()["data"]
        registered(client, data["ID"], "registered" if exam else "waiting")
        uids = (data["StudyInstanceUID"], data["SeriesInstanceUID"], data["SOPInstanceUID"])
        return Stored(content, data["ID"], *uids)

    def viewer(self, who: str, scope: str = "images:read") -> DICOMwebClient:
        token = self.running.token(who, scope)
        return DICOMwebClient(
            self.running.env["EXAMFLOW_URL"] + "/dicom-web", headers={"Authorization": f"Bearer {token}"}
        )

    def http(self, who: str, scope: str = "images:read") -> httpx.Client:
        return self.running.at("EXAMFLOW_URL", Authorization=f"Bearer {self.running.token(who, scope)}")


def tagged(content: bytes, **tags: str) -> bytes:
    if not tags:
        return content
    dataset = dcmread(io.BytesIO(content))
    for name, value in tags.items():
        setattr(dataset, name, value)
    if "SOPInstanceUID" in tags:
        dataset.file_meta.MediaStorageSOPInstanceUID = UID(tags["SOPInstanceUID"])
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def value(item: dict[str, Any], tag: str) -> Any:
    return (item.get(tag, {}).get("Value") or [None])[0]


def sops(items: list[dict[str, Any]]) -> set[str]:
    return {value(item, "00080018") for item in items}


def datasets(answer: httpx.Response) -> list[Dataset]:
    """The files in a multipart answer."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = answer.content.split(b"\r\n--" + boundary)[1:-1]
    return [dcmread(io.BytesIO(part.partition(b"\r\n\r\n")[2])) for part in parts]
