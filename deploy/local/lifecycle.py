"""Start, stop, restart and forget a system."""

import shutil
import time

from deploy.local import database
from deploy.local.environment import write_env
from deploy.local.errors import LocalSystemError
from deploy.local.files import locked
from deploy.local.layout import BACKING, EPMD, SERVICES, Layout
from deploy.local.ports import holder, is_free
from deploy.local.processes import end, end_after, find_supervisord, left_behind, members, stray_epmds
from deploy.local.programs import programs_of
from deploy.local.ready import Report, is_backing, wait_ready
from deploy.local.render import render
from deploy.local.supervision import Supervisor
from deploy.local.supervisord_conf import write_supervisord_conf
from deploy.local.system import System, load, save
from deploy.local.tokens import make_keys

READY_SECONDS = 90.0
STOP_SECONDS = 60.0
SHUTDOWN_SECONDS = 10.0


def silent(_: str) -> None:
    """Report nothing."""


def up(system: System, report: Report = silent) -> None:
    """Start what does not run yet, and return when all of it is ready. Repeatable."""
    report = _timed(report)
    system.layout.make()
    with locked(system.layout.lock, wait=False):
        _tidy(system.layout, report)
        save(system)
        _configure(system)
        names = _take_up_configuration(system, report)
        supervisor = Supervisor(system.layout)
        _start_backing(system, supervisor, names, report)
        if "postgres" in system.programs:
            database.make_roles(system)
        if _needed(system, "postgres"):
            done = database.migrate(system)
            report("the database has the newest tables" if done else "no migrations yet: the database has no tables")
        _start(supervisor, [name for name in names if not is_backing(name)])
        wait_ready(system, [name for name in system.programs if not is_backing(name)], READY_SECONDS, report)
        write_env(system, supervisor.pids)


def down(layout: Layout, report: Report = silent) -> bool:
    """End what ``up`` started and nothing else; the data stays. False if nothing ran."""
    if not layout.root.exists():
        return False
    with locked(layout.lock, wait=False):
        return _down(layout, report)


def restart(system: System, name: str, report: Report = silent) -> None:
    """Stop one program gracefully, start it with the configuration of now, and wait until it is ready."""
    with locked(system.layout.lock, wait=False):
        supervisor = Supervisor(system.layout)
        if not supervisor.answers():
            raise LocalSystemError("The system is not running: 'make up' starts it.")
        if name not in supervisor.states():
            raise LocalSystemError(f"There is no program {name!r}: NAME is one of {', '.join(system.programs)}.")
        _configure(system)
        stopped = supervisor.read_configuration_again()
        supervisor.stop_and_wait([name], STOP_SECONDS)
        _start(supervisor, list({name, *stopped}))
        wait_ready(system, [name], READY_SECONDS, report)
        write_env(system, supervisor.pids)


def clean(layout: Layout, report: Report = silent) -> None:
    """Stop the system and forget its data, secrets, keys and logs."""
    if not layout.root.exists():
        return
    with locked(layout.lock, wait=False):
        _down(layout, report)
        for path in layout.own_paths():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _timed(report: Report) -> Report:
    began = time.monotonic()
    return lambda line: report(f"{time.monotonic() - began:5.1f} s  {line}")


def _tidy(layout: Layout, report: Report) -> None:
    """End what a killed or frozen supervisord left behind: it would sit on our ports and data."""
    end(stray_epmds(layout))
    daemon = find_supervisord(layout)
    if daemon and Supervisor(layout).answers():
        return
    orphans = members(daemon.session) if daemon else left_behind(layout)
    if orphans:
        names = ", ".join(sorted({f"{orphan.command} ({orphan.pid})" for orphan in orphans}))
        report(f"supervisord was gone or silent: ending what it left behind: {names}")
        end(orphans)
    layout.supervisord_pid.unlink(missing_ok=True)
    layout.socket.unlink(missing_ok=True)


def _configure(system: System) -> None:
    system.layout.make()
    make_keys(system.layout)
    render(system)
    write_supervisord_conf(system)


def _take_up_configuration(system: System, report: Report) -> list[str]:
    """Start supervisord, or tell the running one what changed; returns the programs that have to be started."""
    supervisor = Supervisor(system.layout)
    if find_supervisord(system.layout):
        changed = supervisor.read_configuration_again()
        if changed:
            report(f"the configuration changed: {', '.join(changed)} will be started again")
        names = [name for name, state in supervisor.states().items() if not state.pid]
        _check_ports(system, names)
        return names
    names = [program.name for program in programs_of(system)]
    _check_ports(system, names)
    report(f"starting {', '.join(names)}")
    supervisor.start()
    write_env(system, supervisor.pids)
    return names


def _check_ports(system: System, names: list[str]) -> None:
    for program in names:
        for name, port in system.ports.of(program).items():
            if not is_free(port):
                raise LocalSystemError(_taken(program, name, port))


def _taken(program: str, name: str, port: int) -> str:
    whose = program if name == program else f"{program}, {name}"
    what = holder(port) or "a process of another user"
    hint = "another: make up PORT=8090" if name == "gateway" else "other ports: make up FREE_PORTS=1"
    return f"Port {port} ({whose}) is taken by {what}: stop that process, or choose {hint}."


def _start(supervisor: Supervisor, names: list[str]) -> None:
    for name in sorted(names, key=lambda name: name != EPMD):
        supervisor.start_program(name)


def _start_backing(system: System, supervisor: Supervisor, names: list[str], report: Report) -> None:
    """Start the backing services side by side; PostgreSQL's first data directory is made meanwhile."""
    backing = [name for name in names if is_backing(name)]
    _start(supervisor, [name for name in backing if name != "postgres"])
    if "postgres" in backing:
        if not system.layout.postgres.is_relative_to(system.root):
            report(f"PostgreSQL's user may not enter {system.root}: its data lies in {system.layout.postgres}")
        database.make_data(system)
        _start(supervisor, ["postgres"])
    wait_ready(system, [name for name in BACKING if _needed(system, name)], READY_SECONDS, report)


def _needed(system: System, backing: str) -> bool:
    """Whether the system runs this server, or has services that stand on one elsewhere."""
    return backing in system.programs or any(name in SERVICES for name in system.programs)


def _down(layout: Layout, report: Report) -> bool:
    supervisor = Supervisor(layout)
    daemon = find_supervisord(layout)
    found = bool(daemon) or bool(left_behind(layout))
    if daemon and supervisor.answers():
        everything = members(daemon.session)
        _stop_in_order(supervisor, report)
        supervisor.shut_down()
        # supervisord itself, and whatever of its programs did not end with it.
        end_after(everything, SHUTDOWN_SECONDS)
    _tidy(layout, report)
    system = load(layout.root)
    if system and layout.run.exists():
        write_env(system, dict)
    return found


def _stop_in_order(supervisor: Supervisor, report: Report) -> None:
    """The gateway and the services finish their requests while the servers behind them still answer."""
    names = [name for name, state in supervisor.states().items() if state.state not in ("STOPPED", "EXITED", "FATAL")]
    waves = (
        [name for name in names if not is_backing(name)],
        [name for name in names if is_backing(name) and name != EPMD],
        [name for name in names if name == EPMD],
    )
    for wave in filter(None, waves):
        report(f"stopping {', '.join(wave)}")
        supervisor.stop_and_wait(wave, STOP_SECONDS)
