"""An Orthanc in memory, as far as a store goes: it keeps what arrived whole, and notes what was cut off."""

from collections.abc import AsyncIterable

from shared.errors import OrthancAway
from shared.orthanc import Orthanc, Stored


class OrthancDouble(Orthanc):
    """Takes a body as the real client does: in one piece, or as a stream that may break off."""

    def __init__(self, *, refuses_after: int | None = None, refusal: Exception | None = None) -> None:
        self.stored: list[bytes] = []
        self.cut_off: list[bytes] = []
        self.chunks: list[int] = []
        self._refuses_after = refuses_after
        self._refusal = refusal or OrthancAway()

    async def store(self, content: bytes | AsyncIterable[bytes]) -> Stored:
        self.chunks = []
        body = content if isinstance(content, bytes) else await self._streamed(content)
        self.stored.append(body)
        return Stored("an-id", "a-patient", "a-study", "a-series", "Success", "/instances/an-id")

    async def _streamed(self, content: AsyncIterable[bytes]) -> bytes:
        body = bytearray()
        try:
            async for chunk in content:
                assert chunk, "an empty chunk would end a chunked body"
                self.chunks.append(len(chunk))
                body += chunk
                if self._refuses_after is not None and len(body) >= self._refuses_after:
                    raise self._refusal
        except BaseException as error:
            self.cut_off.append(bytes(body))
            # The client's transport tells of a body that broke off as of a connection that did.
            raise error if error is self._refusal else OrthancAway from error
        return bytes(body)
