"""Load, made by wrk (https://github.com/wg/wrk): requests by turns over so many connections, for so many seconds."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# `only`: so many requests in all, the others wait for the end.
_SCRIPT = """
local requests, n, sent, answered = {}, 0, 0, 0
init = function()
%s
end
request = function() n = n %% #requests + 1; return requests[n] end
%s
done = function(summary, latency, _)
  io.write(string.format('\\n{"requests": %%d, "us": %%d, "bytes": %%d, "failed": %%d, "p50": %%d, "p99": %%d}\\n',
    summary.requests, summary.duration, summary.bytes, summary.errors.status + summary.errors.connect
    + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
_ONLY = """
delay = function() sent = sent + 1; return sent <= {0} and 0 or 3600000 end
response = function() answered = answered + 1; if answered == {0} then wrk.thread:stop() end end
"""


@dataclass(frozen=True)
class Request:
    """A GET: path and headers."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Load:
    """What came of it: answers a second, their bytes, and latencies in milliseconds."""

    rate: float
    bytes_each: float
    p50: float
    p99: float
    requests: int


def load(url: str, requests: Sequence[Request], connections: int, seconds: int, only: int | None = None) -> Load:
    """Ask, from one thread. Raises RuntimeError where an answer was an error."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "requests.lua"
        script.write_text(_SCRIPT % ("\n".join(map(_line, requests)), _ONLY.format(only) if only else ""))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    found = json.loads(said.splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests to {url} failed:\n{said}")
    return Load(
        1e6 * found["requests"] / found["us"],
        found["bytes"] / found["requests"],
        found["p50"] / 1000,
        found["p99"] / 1000,
        found["requests"],
    )


def _line(request: Request) -> str:
    headers = ", ".join(f"[{json.dumps(name)}]={json.dumps(value)}" for name, value in request.headers.items())
    return f"  requests[#requests + 1] = wrk.format('GET', {json.dumps(request.path)}, {{{headers}}})"
