"""When the keys that verify tokens are read: at the start, every so often, and when a token names an unknown one."""

import asyncio
import time

import structlog
from prometheus_client import Counter, Gauge

from shared.errors import KeysAway
from shared.jwks import Key, NoKeys, read_jwks, usable_keys
from shared.settings import TokenSettings

log = structlog.get_logger()

READ = Counter(
    "examflow_keys_read", "Readings of the JWKS, by outcome: read, away, refused, too-large, garbage", ["outcome"]
)
KNOWN = Gauge("examflow_keys_known", "Keys that verify tokens")
READ_AT = Gauge("examflow_keys_read_timestamp_seconds", "When the JWKS was last read well; 0 if never")


class Keys:
    """The keys of one JWKS. What was read last counts; while it cannot be read, those known stay good."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self._keys: dict[str, Key] = {}
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def named(self, kid: str) -> Key | None:
        """The key, looked for anew where it is unknown; None where there is none. Raises KeysAway without any key."""
        if kid not in self._keys:
            await self._look_again()
        if not self._keys:
            raise KeysAway
        return self._keys.get(kid)

    def believes(self, key: Key) -> bool:
        """Whether the key still stands in the JWKS, under its name."""
        return self._keys.get(key.kid) == key

    async def answers(self) -> None:
        """Raise KeysAway while there is no key."""
        if not self._keys:
            await self._look_again()
        if not self._keys:
            raise KeysAway

    async def read(self) -> None:
        """Read the keys now; whoever asks while they are being read waits for the same reading."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="keys")
        await asyncio.shield(self._reading)  # one who leaves does not stop it for the others

    async def aclose(self) -> None:
        """Give up a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _look_again(self) -> None:
        """Read the keys, unless that was tried a moment ago.

        While there are none, who comes during a reading does not wait for it: all would wait for one that is away.
        """
        if self._reading is not None and not self._keys:
            return
        pause = self._settings.refresh_seconds if self._keys else self._settings.retry_seconds
        if self._reading is not None or time.monotonic() - self._tried_at > pause:
            await self.read()

    async def _read(self) -> None:
        try:
            found = usable_keys(await read_jwks(self._settings))
        except NoKeys as error:
            READ.labels(error.outcome).inc()
            log.warning("keys.not-read", outcome=error.outcome, why=str(error), known=len(self._keys))
        else:
            READ.labels("read").inc()
            READ_AT.set_to_current_time()
            if found != self._keys:
                log.info("keys.changed", now=sorted(found), before=sorted(self._keys))
            self._keys = found
            KNOWN.set(len(found))
        finally:
            self._tried_at, self._reading = time.monotonic(), None
