"""`make mutate-permissions`: each check of the product is taken out in turn, and the table of rights must fail.

One system runs from a copy of the product in which every check has a switch (switching.py), so no service starts again
for any of them. First nothing is taken out: the table must hold, and each row tells which checks it reaches. Then, for
each check, the rows that reach it are walked until one fails. A check that no row reaches, or whose rows all hold,
survives: the table has a hole, or the check decides nothing.

Not looked at: how a token is verified (its own tests do), and what Orthanc, the broker and the gateway allow.
"""

import ast
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local import lifecycle
from deploy.local.layout import REPO, Layout
from deploy.local.ports import Ports
from deploy.local.system import create
from tests.mutation.finding import deciding
from tests.mutation.switching import Check, Switches, sources
from tests.rights import happenings, walking
from tests.rights.reading import outcomes, rows
from tests.rights.roles import ROLES
from tests.rights.things import Things
from tests.running import Running

Walk = Callable[[Things], Iterator[str]]


@dataclass(frozen=True)
class Case:
    """One row of a table, to be walked."""

    name: str
    walk: Walk


class Switch:
    """Which check is out at the moment, and which were reached: files, since the services are other processes."""

    def __init__(self, folder: Path) -> None:
        self._active = folder / "active"
        self._reached = folder / "reached"
        self._reached.mkdir(parents=True)
        self.turn(0)

    def turn(self, number: int) -> None:
        """Take this check out, and put the others back; 0: none."""
        partial = self._active.with_suffix(".new")
        partial.write_text(str(number))
        partial.replace(self._active)

    def reached(self) -> set[int]:
        """Since it was last asked."""
        found = {int(path.name) for path in self._reached.iterdir()}
        for number in found:
            (self._reached / str(number)).unlink(missing_ok=True)
        return found


def say(line: str) -> None:
    """One line on the screen, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def copy_with_switches(tree: Path) -> list[Check]:
    """Write the product, with a switch in each check, into the empty folder `tree`."""
    modules = {where: ast.parse((REPO / where).read_text()) for where in sources(REPO)}
    switches = Switches(deciding(modules))
    for folder in ("services", "shared"):
        shutil.copytree(REPO / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for where, module in modules.items():
        (tree / where).write_text(switches.put(where, module))
    shutil.copy(Path(__file__).with_name("taken_out.py"), tree / "shared" / "taken_out.py")
    return switches.checks


def cases() -> list[Case]:
    """All rows: the quick ones first."""
    found = [Case(str(row), lambda things, row=row: walking.walk(row, things)) for row in rows()]  # type: ignore[misc]
    found += [Case(str(one), lambda things, one=one: happenings.walk(one, things)) for one in outcomes()]  # type: ignore[misc]
    return found


@contextlib.contextmanager
def prepared(running: Running) -> Iterator[Things]:
    """Things that no row has touched, made while no check is out."""
    things = Things(running)
    try:
        things.state()
        for role, named in ROLES.items():
            if named.sub:
                things.exam_of(role)
        yield things
    finally:
        things.close()


def first_failure(case: Case, things: Things) -> str:
    """What the row finds wrong first; empty where it holds."""
    try:
        return next(case.walk(things), "")
    except Exception as error:  # noqa: BLE001  # a product without the check may fail in any way, and that is a failure
        return f"{case.name}: {type(error).__name__}: {str(error)[:200]}"


def baseline(running: Running, switch: Switch) -> dict[int, list[Case]] | None:
    """The cases that reach each check; None, and what is wrong on the screen, where the table does not hold."""
    reaching: dict[int, list[Case]] = {}
    wrong = []
    with prepared(running) as things:
        for case in cases():
            switch.reached()
            wrong += list(case.walk(things))
            for number in switch.reached():
                reaching.setdefault(number, []).append(case)
    for line in wrong:
        say(line)
    return None if wrong else reaching


def killer(check: Check, reaching: list[Case], running: Running, switch: Switch) -> str:
    """The first failure of a row while the check is out; empty where it survives."""
    with prepared(running) as things:
        switch.turn(check.number)
        try:
            return next(filter(None, (first_failure(case, things) for case in reaching)), "")
        finally:
            switch.turn(0)


def mutate(root: Path, checks: list[Check], switch: Switch) -> int:
    """Take each out; the number that survive."""
    running = Running(root)
    began = time.monotonic()
    reaching = baseline(running, switch)
    if reaching is None:
        say("the table does not hold with every check in its place: mend that first")
        return len(checks)
    say(f"the table holds with every check in its place ({time.monotonic() - began:.0f} s); {len(checks)} checks:")
    survived = 0
    for check in checks:
        found = killer(check, reaching.get(check.number, []), running, switch)
        survived += not found
        verdict = f"killed by {found}" if found else "SURVIVED"
        if not found and check.number not in reaching:
            verdict += ": no row reaches it"
        say(f"{check.number:4} {check}\n       {verdict}")
    say(f"{len(checks)} checks, {survived} survived, {time.monotonic() - began:.0f} s")
    return survived


def main(only: str = "") -> int:
    """0 if the table fails for each check that is taken out; `only` those in whose line this text stands."""
    root = REPO / ".run" / f"mutation-{os.getpid()}"
    tree, folder = root / "tree", root / "switch"
    switch = Switch(folder)
    checks = [check for check in copy_with_switches(tree) if only in str(check)]
    # uvicorn looks for the app there first.
    settings = {"UVICORN_APP_DIR": str(tree), "EXAMFLOW_TAKEN_OUT": str(folder)}
    try:
        lifecycle.up(create(root, ports=Ports.free(), settings=settings), say)
        return 1 if mutate(root, checks, switch) else 0
    finally:
        lifecycle.clean(Layout(root), say)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
