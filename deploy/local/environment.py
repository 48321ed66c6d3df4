"""``.run/env``: what a shell, a test or an operator needs to talk to the running system."""

import shlex
from collections.abc import Callable, Mapping

from deploy.local.files import locked, write_private
from deploy.local.layout import EPMD
from deploy.local.system import System


def variables(system: System, pids: Mapping[str, int]) -> dict[str, str]:
    """The names that DESIGN section 8 promises; a program that does not run has no PID_ line."""
    orthanc_host, backing = f"http://{system.backing.orthanc}", system.backing
    known = {
        "EXAMFLOW_URL": system.url,
        "UPLOAD_URL": system.service_url("upload"),
        "REGISTRATION_URL": system.service_url("registration"),
        "PREVIEW_URL": system.service_url("preview"),
        "ORTHANC_URL": orthanc_host,
        "ORTHANC_USER": "admin",
        "ORTHANC_PASSWORD": system.secrets.orthanc_admin,
        "ORTHANC_DICOM_PORT": backing.dicom.rpartition(":")[2],
        "ORTHANC_AET": "EXAMFLOW",
        "RABBITMQ_URL": system.broker_url("admin"),
        "RABBITMQ_MANAGEMENT_URL": system.management_url,
        "DATABASE_URL": system.database_url("examflow"),
    }
    return known | {f"PID_{name.upper()}": str(pid) for name, pid in pids.items() if name != EPMD}


def write_env(system: System, pids: Callable[[], Mapping[str, int]]) -> None:
    """Write the file; the pids are read under its lock, so the last writer has the newest."""
    with locked(system.layout.run / "env.lock", wait=True):
        lines = [f"{name}={shlex.quote(value)}" for name, value in variables(system, pids()).items()]
        write_private(system.layout.env, "\n".join(lines) + "\n")
