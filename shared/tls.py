"""TLS to the servers that a service asks: who vouches for them, and what is wrong where one is refused."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field


class Dependency(BaseModel):
    """A server that is asked. Its URL says whether over TLS; then certificate and name are always verified."""

    ca_file: Path | None = Field(
        None, description="PEM of the authorities that vouch for it; EXAMFLOW_CA_FILE's, else the system's"
    )

    def tls(self) -> ssl.SSLContext:
        """For connections to it. Raises OSError where the file cannot be read, or holds no certificate."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python leaves that to OpenSSL's configuration
        return context


def trouble(error: BaseException) -> str | None:
    """What of TLS is behind an error, in words; None where it has nothing to do with that."""
    for one in _behind(error):  # aiohttp's own errors are SSL errors too, without the words
        if isinstance(one, ssl.SSLCertVerificationError) and hasattr(one, "verify_message"):
            return f"its certificate is refused: {one.verify_message.rstrip('.')}"
        if isinstance(one, ssl.SSLError) and getattr(one, "reason", None):
            return f"no TLS connection to it: {one.reason.replace('_', ' ').lower()}"
    return None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
