"""Become nginx: ``python -m deploy.local.start_gateway ROOT``, run by supervisord.

nginx's workers outlive a master that was killed, and keep its port: the next master could not listen.
So what is left of the one before is ended first.
"""

import os
import sys
from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.processes import all_processes, end

NGINX = "/usr/sbin/nginx"


def end_old_workers(layout: Layout) -> None:
    """End nginx processes of our own session that are not this process."""
    session = os.getsid(0)
    end([process for process in all_processes() if process.session == session and process.command == "nginx"])


def main() -> None:
    """Make room, then become nginx, so that the pid is nginx's own."""
    layout = Layout(Path(sys.argv[1]))
    end_old_workers(layout)
    command = [NGINX, "-p", str(layout.run), "-c", str(layout.conf / "nginx.conf"), "-e", "stderr"]
    os.execv(NGINX, command)  # noqa: S606  # a fixed command


if __name__ == "__main__":
    main()
