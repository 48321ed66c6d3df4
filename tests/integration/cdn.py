"""The nginx of docs/cdn.md as a private process in front of a system's gateway."""

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from deploy.local.layout import REPO
from deploy.local.ports import HOST, Ports
from tests.running import eventually

PAGE = REPO / "docs" / "cdn.md"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextlib.contextmanager
def standing_before(gateway: str, folder: Path) -> Iterator[httpx.Client]:
    """A viewer's client at the CDN, which keeps all it has below `folder`. `gateway`: host and port."""
    port = Ports.free().gateway
    conf = folder / "nginx.conf"
    conf.write_text(_whole(_as_documented(gateway, f"{HOST}:{port}", folder / "kept"), folder))
    command = ("/usr/sbin/nginx", "-p", str(folder), "-c", str(conf), "-e", "stderr")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port) or process.poll(), what="the CDN")
        assert process.poll() is None, (folder / "log").read_text()
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=30, trust_env=False) as viewer:
            yield viewer
    finally:
        process.terminate()
        process.wait(20)


def _as_documented(gateway: str, address: str, kept: Path) -> str:
    """What the page has, with this test's addresses in the place of its own."""
    [text] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    changes = {
        "/var/cache/nginx/examflow": str(kept),
        "listen 8443;": f"listen {address};",
        "http://examflow.example:8080;": f"http://{gateway};",
    }
    for documented, own in changes.items():
        assert text.count(documented) == 1, documented
        text = text.replace(documented, own)
    return str(text)


def _whole(text: str, folder: Path) -> str:
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
    user = "user root root;" if os.geteuid() == 0 else ""
    return f"{user} daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {paths} {text} }}"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False
