"""A running Examflow, as tests see it: whoever started it, its addresses and keys lie below one root."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from dotenv import dotenv_values

from deploy.local.layout import Layout
from deploy.local.tokens import mint
from tests.refusals import remember_refusal

FRONT_END = "dicom:upload images:write images:read"
T = TypeVar("T")
_HOOKS = {"response": [remember_refusal]}


@dataclass(frozen=True)
class Running:
    """The system below `root`; its environment is read anew each time, since a restart changes pids."""

    root: Path
    _clients: list[httpx.Client] = field(default_factory=list, repr=False)

    @property
    def env(self) -> dict[str, str]:
        return {name: value or "" for name, value in dotenv_values(self.root / "env").items()}

    def token(self, sub: str, scope: str = FRONT_END, groups: tuple[str, ...] = (), lifetime: int = 3600) -> str:
        return mint(Layout(self.root), sub, scope, groups, lifetime)

    def client(self, sub: str = "alice", scope: str = FRONT_END, groups: tuple[str, ...] = ()) -> httpx.Client:
        """A front end of one user, at the gateway's /api."""
        return self.at("EXAMFLOW_URL", "/api", Authorization=f"Bearer {self.token(sub, scope, groups)}")

    def orthanc(self) -> httpx.Client:
        env = self.env
        return self.at("ORTHANC_URL", auth=(env["ORTHANC_USER"], env["ORTHANC_PASSWORD"]))

    def at(self, name: str, path: str = "", auth: Any = None, **headers: str) -> httpx.Client:
        client = httpx.Client(
            base_url=self.env[name] + path, auth=auth, headers=headers, timeout=60, trust_env=False, event_hooks=_HOOKS
        )
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def open_exam(self, exam_id: str, *principals: str, **fields: Any) -> httpx.Response:
        """Open an exam as the HIS does."""
        body = {"principals": list(principals), **fields}
        answer = self.client("his", "exams:write").put(f"/examens-medicaux/{exam_id}", json=body)
        answer.raise_for_status()
        return answer


def eventually(ask: Callable[[], T | None], seconds: float = 60.0, what: str = "the condition") -> T:
    """The first truthy answer; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s; last answer: {answer!r}"
        time.sleep(0.05)


def upload(client: httpx.Client, content: bytes, **fields: str) -> httpx.Response:
    """Upload one file as a front end does."""
    return client.post("/dicom/upload", files={"file": ("image.dcm", content, "application/dicom")}, data=fields)


def registered(client: httpx.Client, orthanc_id: str, state: str = "registered") -> dict[str, Any]:
    """What became of an image, once it is what was expected."""

    def ask() -> dict[str, Any] | None:
        answer = client.get(f"/dicom/instances/{orthanc_id}/registration")
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 and found["state"] == state else None

    return eventually(ask, what=f"{orthanc_id} {state}")
