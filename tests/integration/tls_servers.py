"""Orthanc, RabbitMQ and PostgreSQL that listen with a certificate: rendered as ever, and a few lines more."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploy.local import database
from deploy.local.layout import Layout
from deploy.local.ports import HOST, Ports
from deploy.local.programs import Program, postgres_user, programs_of
from deploy.local.ready import missing
from deploy.local.render import render
from deploy.local.system import Backing, System, create, save
from tests.authorities import Vouched
from tests.running import eventually

START_SECONDS = 60.0


@contextlib.contextmanager
def serving(root: Path, name: str, files: Vouched) -> Iterator[System]:
    """One server of a system of its own; its backing says where that listens over TLS."""
    ports = Ports.free()
    # The plain ports stay as they are; no service runs here that would need its own.
    listening = ports.model_copy(
        update={"amqp": ports.upload, "management": ports.registration, "orthanc": ports.preview}
    )
    system = create(root, ports=ports, programs=(name,), backing=Backing.here(listening))
    system.layout.make()
    save(system)
    render(system)
    prepare = {"orthanc": _orthanc, "rabbitmq": _rabbitmq, "postgres": _postgres}[name]
    with contextlib.ExitStack() as stack:
        for program in prepare(system, files):
            stack.enter_context(_running(program, system.layout))
        places = {
            "orthanc": (f"{HOST}:{ports.orthanc}", system.backing.orthanc),
            "rabbitmq": (system.backing.amqp, system.backing.management),
            "postgres": (system.backing.postgres,),
        }
        for place in places[name]:
            _wait(place, system.layout.log(name))
        if name == "postgres":  # it listens before it takes users
            eventually(lambda: missing(system, name) is None, START_SECONDS, name)
        yield system
    shutil.rmtree(system.layout.postgres, ignore_errors=True)  # which may lie outside


def _orthanc(system: System, files: Vouched) -> list[Program]:
    """Behind nginx: Debian's Orthanc 1.10 falls over its first TLS request (its civetweb looks for OpenSSL 1.1)."""
    conf, run = system.layout.conf / "nginx.conf", system.layout.run
    paths = "".join(f"{kind}_temp_path {run}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    door = f"listen {system.backing.orthanc} ssl; ssl_certificate {files.certificate}; ssl_certificate_key {files.key};"
    server = f"server {{ {door} location / {{ proxy_pass http://{HOST}:{system.ports.orthanc}; }} }}"
    head = f"daemon off; master_process off; pid {run}/nginx.pid; events {{}}"
    conf.write_text(f"{head} http {{ access_log off; client_max_body_size 0; {paths} {server} }}")
    nginx = Program("nginx", ("/usr/sbin/nginx", "-p", str(run), "-c", str(conf), "-e", "stderr"), run)
    return [*programs_of(system), nginx]


def _rabbitmq(system: System, files: Vouched) -> list[Program]:
    certificate = f"certfile = {files.certificate}", f"keyfile = {files.key}"
    lines = [
        f"listeners.ssl.1 = {system.backing.amqp}",
        *(f"ssl_options.{line}" for line in certificate),
        f"management.ssl.port = {system.backing.management.rpartition(':')[2]}",
        f"management.ssl.ip = {HOST}",
        *(f"management.ssl.{line}" for line in certificate),
    ]
    with (system.layout.conf / "rabbitmq.conf").open("a") as conf:
        conf.write("\n".join(["", *lines, ""]))
    return programs_of(system)


def _postgres(system: System, files: Vouched) -> list[Program]:
    database.make_data(system)
    key, certificate = system.layout.postgres / "tls.key", system.layout.postgres / "tls.pem"
    for source, target in ((files.key, key), (files.certificate, certificate)):
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
        if user := postgres_user():
            os.chown(target, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    more = ("-c", "ssl=on", "-c", f"ssl_cert_file={certificate}", "-c", f"ssl_key_file={key}")
    return [replace(program, command=(*program.command, *more)) for program in programs_of(system)]


@contextlib.contextmanager
def _running(program: Program, layout: Layout) -> Iterator[None]:
    with layout.log(program.name).open("w") as log:
        process = subprocess.Popen(
            program.command,
            cwd=program.directory,
            env={"PATH": os.environ["PATH"], **program.environment},
            user=program.user,
            group=program.user,
            extra_groups=[] if program.user else None,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.send_signal(getattr(signal, f"SIG{program.stop_signal}"))
        try:
            process.wait(program.stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(address: str, log: Path) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            return
