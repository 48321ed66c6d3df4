"""Clients that upload at once and write down every answer they are given."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from tests.chaos.background import Background
from tests.chaos.images import Image
from tests.running import eventually

UPLOADER = "alice"
AT_ONCE = 8
BOUNDARY = "lab-c0ffee"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
ANSWER_SECONDS = 100.0  # longer than any time limit of the product: a client that gave up would hide a hang
LOAD_SECONDS = 1200.0
PIECE = 256 * 1024


@dataclass(frozen=True)
class Answer:
    """What one attempt to upload an image was told; `status` 0 where there was no answer at all."""

    image: Image
    status: int
    seconds: float
    problem: str = ""
    orthanc_id: str = ""
    sop_uid: str = ""
    store: str = ""  # Orthanc's word: Success or AlreadyStored
    event: str = ""  # confirmed or pending
    message: str = ""  # what a person is told of a refusal

    @property
    def acknowledged(self) -> bool:
        """Whether it is a promise."""
        return 200 <= self.status < 300


class Clients:
    """Eight clients (or `at_once`) share a list of images; each sends one after the other, and again where that helps.

    A sane client comes again after 503 or a lost connection, when Retry-After says so, and gives up in the end.
    """

    def __init__(self, url: str, token: str, *, tries: int, pause_at_most: float, at_once: int = AT_ONCE) -> None:
        self._url, self._token, self._at_once = url, token, at_once
        self._tries, self._pause = tries, pause_at_most
        self.answers: list[Answer] = []
        self._images: Sequence[Image] = ()
        self._done = 0

    def begin(self, background: Background, images: Sequence[Image]) -> None:
        """Start them."""
        self._images = images
        self._load = background.begin(self._send_all(images))

    def end(self) -> None:
        """Wait until all have ended."""
        self._load.result(LOAD_SECONDS)

    def give_up(self) -> None:
        """End them now."""
        self._load.cancel()

    def have_ended(self, share: float, seconds: float = 600.0) -> None:
        """Wait until this share of the images was acknowledged or given up."""
        wanted = share * len(self._images)
        eventually(lambda: self._done >= wanted or self._load.done(), seconds, f"the end of {wanted:.0f} uploads")
        if self._load.done():
            self._load.result()  # what went wrong in them is to be seen here

    def statuses(self) -> dict[int, int]:
        """How often each status was answered."""
        return {status: sum(a.status == status for a in self.answers) for status in {a.status for a in self.answers}}

    def acknowledged(self) -> set[str]:
        """The Orthanc ids that were promised."""
        return {answer.orthanc_id for answer in self.answers if answer.acknowledged}

    def stored_before(self) -> list[Answer]:
        """Promises about images that Orthanc had already: an earlier attempt had come that far."""
        return [answer for answer in self.answers if answer.store == "AlreadyStored"]

    async def _send_all(self, images: Sequence[Image]) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": CONTENT_TYPE}
        left = iter(images)
        async with HttpxAiohttpClient(base_url=self._url, headers=headers, timeout=ANSWER_SECONDS) as http:
            await asyncio.gather(*(self._send_some(http, left) for _ in range(self._at_once)))

    async def _send_some(self, http: httpx.AsyncClient, left: Iterator[Image]) -> None:
        for image in left:
            await self._send(http, image)
            self._done += 1

    async def _send(self, http: httpx.AsyncClient, image: Image) -> None:
        for left in reversed(range(self._tries)):
            began = time.monotonic()
            try:
                answer = await http.post("/dicom/upload", **_body(image))
            except httpx.TransportError as error:
                self._note(Answer(image, 0, time.monotonic() - began, type(error).__name__))
                wait = 1.0
            else:
                self._note(read(image, answer, time.monotonic() - began))
                if answer.status_code != 503:
                    return
                wait = float(answer.headers["retry-after"])
            if left:
                await asyncio.sleep(min(wait, self._pause))

    def _note(self, answer: Answer) -> None:
        self.answers.append(answer)


def _body(image: Image) -> dict[str, Any]:
    """A large one in pieces: aiohttp warns of bytes that are sent at one go."""
    body = form(image)
    if not image.large:
        return {"content": body}
    return {"content": _pieces(body), "headers": {"Content-Length": str(len(body))}}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), PIECE):
        yield body[begin : begin + PIECE]


def form(image: Image) -> bytes:
    """The body of an upload, as a browser sends it."""
    fields = {"examenID": image.exam, "description": image.description} if image.exam else {}
    texts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="image.dcm"\r\n'
        "Content-Type: application/dicom\r\n\r\n"
    )
    return ("".join(texts) + head).encode() + image.content + f"\r\n--{BOUNDARY}--\r\n".encode()


def read(image: Image, answer: httpx.Response, seconds: float) -> Answer:
    """An answer, written down."""
    if not answer.is_success:
        said = answer.json()
        problem = str(said.get("type", "")).removeprefix("/problems/")
        return Answer(image, answer.status_code, seconds, problem, message=str(said.get("message", "")))
    data: dict[str, str] = answer.json()["data"]
    return Answer(
        image,
        answer.status_code,
        seconds,
        orthanc_id=data["ID"],
        sop_uid=data["SOPInstanceUID"],
        store=data["Status"],
        event=data["event"],
    )
