"""Keeps the PID_ lines of ``.run/env`` true: ``python -m deploy.local.listener ROOT``, run by supervisord.

supervisord tells it of each change of a program's state on standard input and waits for RESULT on standard output.
"""

import sys
from pathlib import Path
from typing import TextIO

from deploy.local.environment import write_env
from deploy.local.supervision import Supervisor
from deploy.local.system import load


def record_pids(root: Path) -> None:
    """Write the pids of now."""
    system = load(root)
    if system:
        write_env(system, Supervisor(system.layout).pids)


def listen(events: TextIO, answers: TextIO, root: Path) -> None:
    """One event after the other until supervisord is gone."""
    while True:
        answers.write("READY\n")
        answers.flush()
        header = events.readline()
        if not header:
            return
        length = dict(token.split(":", 1) for token in header.split())["len"]
        events.read(int(length))
        try:
            record_pids(root)
        except OSError as error:
            # The next event writes it again; to end here would only be restarted into the same error.
            sys.stderr.write(f"could not write {root / 'env'}: {error}\n")
        answers.write("RESULT 2\nOK")
        answers.flush()


if __name__ == "__main__":
    listen(sys.stdin, sys.stdout, Path(sys.argv[1]))
