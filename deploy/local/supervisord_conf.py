"""The configuration of supervisord, from the programs of a system."""

import os
import resource
import shlex
import sys

from deploy.local.errors import LocalSystemError
from deploy.local.files import write_private
from deploy.local.layout import REPO
from deploy.local.processes import MARK
from deploy.local.programs import Program, programs_of
from deploy.local.system import System

LISTENER = "pid-recorder"
WANTED_FILES = 65536

Section = tuple[str, dict[str, str]]


def write_supervisord_conf(system: System) -> None:
    """Write the file for all programs of the system; nothing is started."""
    programs = [_program(system, program) for program in programs_of(system)]
    sections = [_daemon(system), *_control(system), _listener(system), *programs]
    write_private(system.layout.supervisord_conf, "\n".join(_section(name, body) for name, body in sections))


def _daemon(system: System) -> Section:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    layout = system.layout
    body = {
        "logfile": _escape(str(layout.log("supervisord"))),
        "logfile_maxbytes": "10MB",
        "logfile_backups": "2",
        "pidfile": _escape(str(layout.supervisord_pid)),
        "childlogdir": _escape(str(layout.logs)),
        "directory": _escape(str(layout.run)),
        "umask": "022",
        "nodaemon": "false",
        "identifier": "examflow",
        "minfds": str(WANTED_FILES if unlimited else min(hard, WANTED_FILES)),
        "minprocs": "1",
        "strip_ansi": "true",
    }
    if os.geteuid() == 0:
        body["user"] = "root"  # said on purpose: otherwise it warns at each start
    return "supervisord", body


def _control(system: System) -> list[Section]:
    """Where it takes commands: a socket that only its owner may open."""
    factory = "supervisor.rpcinterface:make_main_rpcinterface"
    return [
        ("unix_http_server", {"file": _escape(str(system.layout.socket)), "chmod": "0700"}),
        ("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory}),
    ]


def _listener(system: System) -> Section:
    return f"eventlistener:{LISTENER}", {
        "command": _command((sys.executable, "-m", "deploy.local.listener", str(system.root))),
        "directory": _escape(str(REPO)),
        "environment": _environment({MARK: str(system.root)}),
        "events": "PROCESS_STATE",
        "buffer_size": "100",
        "stdout_logfile": "NONE",  # the event protocol, not a log
        "autorestart": "true",
        "stderr_logfile": _escape(str(system.layout.log(LISTENER))),
        "stderr_logfile_maxbytes": "1MB",
        "stderr_logfile_backups": "1",
    }


def _program(system: System, program: Program) -> Section:
    body = {
        "command": _command(program.command),
        "directory": _escape(str(program.directory)),
        "environment": _environment(program.environment),
        "autostart": "false",  # the order is ours: migrations come before the services
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "12",
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _escape(str(system.layout.log(program.name))),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }
    if program.user:
        body["user"] = program.user
    return f"program:{program.name}", body


def _section(name: str, body: dict[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in body.items()), ""])


def _command(words: tuple[str, ...]) -> str:
    return _escape(shlex.join(words))


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _environment(values: dict[str, str]) -> str:
    for name, value in values.items():
        # Its parser has no escapes: it would cut or change these without a word.
        if "'" in value or "\n" in value or " ;" in value or " #" in value or value[-1:] == '"' or value[:1] == '"':
            raise LocalSystemError(
                f"The value of {name} cannot be given to supervisord: it holds a quote, ' #' or ' ;'."
            )
    return _escape(",".join(f"{name}='{value}'" for name, value in values.items()))
