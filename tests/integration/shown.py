"""An image as one replica of preview or another shows it."""

from dataclasses import dataclass

import httpx

from tests.integration.faulty import Faulty
from tests.integration.replicas import Replica

HITS = "examflow_rights_hits_total"


@dataclass(frozen=True)
class Shown:
    """An image of an exam of Alice's."""

    broken: Faulty
    exam: str
    orthanc_id: str
    image_id: str

    def ask(self, replica: Replica, sub: str = "alice", **headers: str) -> httpx.Response:
        token = self.broken.running.token(sub, "images:read")
        where = f"{replica.url}/dicom/instances/{self.orthanc_id}/preview"
        return httpx.get(where, headers={"Authorization": f"Bearer {token}"} | headers, timeout=30, trust_env=False)

    def signed(self, replica: Replica) -> str:
        """The path of a signed URL that the replica gives out to Alice."""
        headers = {"Authorization": f"Bearer {self.broken.running.token('alice', 'images:read')}"}
        where = f"{replica.url}/dicom/instances/{self.orthanc_id}/preview-url"
        url: str = httpx.post(where, headers=headers, timeout=30, trust_env=False).json()["url"]
        return url

    def status(self, replica: Replica, sub: str = "alice") -> int:
        return self.ask(replica, sub).status_code

    def remembered_by(self, replica: Replica) -> None:
        """Seen twice, and the second time without asking registration."""
        assert self.status(replica) == 200
        before = replica.metric(HITS)
        assert self.status(replica) == 200
        assert replica.metric(HITS) == before + 1, "its answer was not kept"

    def for_bob_alone(self) -> None:
        self.broken.running.open_exam(self.exam, "user:bob")
