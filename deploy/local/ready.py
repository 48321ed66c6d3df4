"""Whether each program answers, and waiting until it does: bounded, and with the reason where it does not."""

import socket
import struct
import time
from collections.abc import Callable, Iterable

import httpx

from deploy.local.errors import LocalSystemError
from deploy.local.files import last_lines
from deploy.local.layout import BACKING, EPMD
from deploy.local.ports import HOST
from deploy.local.supervision import Supervisor
from deploy.local.system import System

ANSWER_SECONDS = 3.0
PAUSE_SECONDS = 0.1
PROTOCOL_3 = 196608  # PostgreSQL, "Message Formats", StartupMessage
# A program that was started more often than this while it was waited for will not come up by itself.
STARTS_IN_VAIN = 4
Report = Callable[[str], None]


def missing(system: System, name: str) -> str | None:
    """What the program lacks to be ready, in words; None if it is ready."""
    checks = {"orthanc": _orthanc, "rabbitmq": _rabbitmq, "postgres": _postgres, "gateway": _gateway, EPMD: _epmd}
    try:
        return checks[name](system) if name in checks else _service(system, name)
    except httpx.TimeoutException:
        return f"gives no answer within {ANSWER_SECONDS:.0f} s"
    except httpx.TransportError:
        return "does not answer yet"


def wait_ready(system: System, names: Iterable[str], seconds: float, report: Report) -> None:
    """Wait until all are ready, and report each; fail as soon as one has been given up."""
    supervisor = Supervisor(system.layout)
    began = time.monotonic()
    lacking = dict.fromkeys(names, "has not been asked yet")
    starts: dict[str, set[float]] = {name: set() for name in lacking}
    while lacking:
        states = supervisor.states()
        for name in list(lacking):
            local = states.get(name)
            if local and local.since:
                starts[name].add(local.since)
            if local and (local.state == "FATAL" or len(starts[name]) > STARTS_IN_VAIN):
                raise _failed(system, name, f"ends again and again ({local.problem or 'see its log'})")
            problem = missing(system, name) if not local or local.pid else f"is {local.state.lower()}"
            if problem is None:
                del lacking[name]
                report(f"{name} is ready")
            else:
                lacking[name] = problem
        if lacking and time.monotonic() - began > seconds:
            name, problem = next(iter(lacking.items()))
            raise _failed(system, name, f"{problem}, {seconds:.0f} s after its start", also=list(lacking)[1:])
        time.sleep(PAUSE_SECONDS)


def _failed(system: System, name: str, problem: str, also: list[str] | None = None) -> LocalSystemError:
    others = f" Not ready either: {', '.join(also)}." if also else ""
    path = system.layout.log(name)
    lines = "\n  ".join(last_lines(path, 12))
    ending = f" The end of {path}:\n  {lines}" if lines else ""
    return LocalSystemError(f"{name} {problem}.{others}{ending}")


def _get(url: str, **options: str) -> httpx.Response:
    user, password = options.get("user"), options.get("password", "")
    # Proxies of the environment have no business with loopback addresses.
    with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as client:
        return client.get(url, auth=(user, password) if user else None)


def _orthanc(system: System) -> str | None:
    url = f"http://{system.backing.orthanc}/system"
    status = _get(url, user="admin", password=system.secrets.orthanc_admin).status_code
    return None if status == 200 else f"answers {status} to GET /system"


def _rabbitmq(system: System) -> str | None:
    base = f"http://{system.backing.management}/api"
    password = system.secrets.rabbitmq_admin
    # What this asks for stands in the definitions, and AMQP is opened after they were loaded.
    status = _get(f"{base}/exchanges/%2F/medical-images", user="admin", password=password).status_code
    if status != 200:
        return f"answers {status} to a question for its exchange"
    return _accepts(system.backing.amqp)


def _postgres(system: System) -> str | None:
    """Ask as pg_isready does, which a machine that only talks to containers need not have.

    A server that accepts connections answers the first message with an authentication request.
    """
    words = b"user\0postgres\0database\0postgres\0application_name\0ready\0\0"
    try:
        with socket.create_connection(_split(system.backing.postgres), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(struct.pack("!ii", len(words) + 8, PROTOCOL_3) + words)
            answer = connection.recv(1000)
    except OSError:
        return "does not accept connections yet"
    return None if answer.startswith(b"R") else "accepts no users yet: it is starting, recovering or stopping"


def _epmd(system: System) -> str | None:
    return _accepts(f"{HOST}:{system.ports.epmd}")


def _gateway(system: System) -> str | None:
    status = _get(f"{system.url}/health/live").status_code
    return None if status == 200 else f"answers {status} to GET /health/live"


def _service(system: System, name: str) -> str | None:
    answer = _get(f"{system.service_url(name)}/health/ready")
    return None if answer.status_code == 200 else f"answers {answer.status_code}: {_failing_checks(answer)}"


def _failing_checks(answer: httpx.Response) -> str:
    """The first line of each check that failed, or the beginning of whatever was answered."""
    try:
        checks = answer.json()["checks"]
        failing = [f"{name}: {str(said).splitlines()[0]}" for name, said in checks.items() if said != "ok"]
    except (ValueError, KeyError, AttributeError, TypeError, IndexError):
        failing = [answer.text]
    return "; ".join(failing)[:200]


def _accepts(address: str) -> str | None:
    try:
        socket.create_connection(_split(address), timeout=ANSWER_SECONDS).close()
    except OSError:
        return "does not accept connections yet"
    return None


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def is_backing(name: str) -> bool:
    """Whether the services stand on it."""
    return name in BACKING or name == EPMD
