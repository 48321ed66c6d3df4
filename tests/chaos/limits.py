"""What servers run out of: Orthanc's disk, RabbitMQ's memory."""

import os
import resource
import subprocess

from deploy.local.programs import rabbitmq_environment
from deploy.local.system import System

CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
CTL_SECONDS = 60
MEMORY = "1GB"  # as in deploy/local/templates/rabbitmq.conf


def fill_disk(pid: int) -> None:
    """Each write of the process fails, which to a program is a full disk; below supervisord none dies of SIGXFSZ."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))


def free_disk(pid: int) -> None:
    """There is room again."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


def memory_alarm(system: System) -> None:
    """Any memory in use is too much."""
    _allow(system, "1")


def end_alarm(system: System) -> None:
    """As much as before is allowed."""
    _allow(system, MEMORY)


def _allow(system: System, memory: str) -> None:
    command = [CTL, "set_vm_memory_high_watermark", "absolute", memory]
    environment = os.environ | rabbitmq_environment(system)
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=CTL_SECONDS)
