"""Configuration files of the servers, made from templates into the root of a system."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import LocalSystemError
from deploy.local.files import write_private
from deploy.local.layout import REPO
from deploy.local.ports import HOST
from deploy.local.system import MULTIPART_OVERHEAD, System
from deploy.rabbitmq.render import render_file

# What the gateway allows one client, and whose X-Forwarded-For it believes, as in .env; settings `GATEWAY_...` win.
GATEWAY = {
    "REQUESTS_PER_SECOND": "2000",
    "REQUESTS_BURST": "4000",
    "PICTURES_PER_SECOND": "10000",
    "UPLOADS_PER_CLIENT": "256",
    "TRUSTED_PROXY": "unix:",
    "HSTS": "",
}
TEMPLATES = Path(__file__).parent / "templates"
DEPLOY = REPO / "deploy"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}``; everything else, nginx's own ``$name`` too, stays."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name not in values and default is None:
            raise LocalSystemError(
                f"The template names ${{{name}}}, which has no value: name it in deploy/local/render.py."
            )
        return values.get(name, default or "")

    return VARIABLE.sub(value, template)


def render(system: System) -> None:
    """Write the configuration of every program that this system has."""
    writers = {"orthanc": _orthanc, "rabbitmq": _rabbitmq, "gateway": _gateway}
    for program, write in writers.items():
        if program in system.programs:
            write(system)


def config_files(system: System, program: str) -> list[Path]:
    """The files whose change means that the program must be started again."""
    names = {
        "orthanc": ("orthanc/10-examflow.json", "orthanc/20-local.json", "orthanc/routes.lua"),
        "rabbitmq": ("rabbitmq.conf", "definitions.json", "enabled_plugins"),
        "gateway": ("nginx.conf", "examflow.conf"),
    }
    return [system.layout.conf / name for name in names.get(program, ())]


def _orthanc(system: System) -> None:
    shared, local, routes = config_files(system, "orthanc")
    shared.parent.mkdir(exist_ok=True)
    data = system.layout.data / "orthanc"
    data.mkdir(mode=0o700, exist_ok=True)
    passwords = system.secrets.of("orthanc")
    values = {f"ORTHANC_{user.upper()}_PASSWORD": password for user, password in passwords.items()} | {
        "ORTHANC_HTTP_PORT": str(system.ports.orthanc),
        "ORTHANC_DICOM_PORT": str(system.ports.dicom),
        "ORTHANC_REMOTE_ACCESS": "false",
        "ORTHANC_CHECK_MODALITY_HOST": "true",
        "ORTHANC_ROUTES": str(routes),
    }
    write_private(routes, (DEPLOY / "orthanc/routes.lua").read_text())
    write_private(shared, fill((DEPLOY / "orthanc/orthanc.json.template").read_text(), values))
    write_private(local, fill((TEMPLATES / "orthanc.json").read_text(), {"DATA": str(data)}))


def _rabbitmq(system: System) -> None:
    conf, definitions, plugins = config_files(system, "rabbitmq")
    (system.layout.data / "rabbitmq").mkdir(mode=0o700, exist_ok=True)
    render_file(DEPLOY / "rabbitmq/definitions.json", definitions, system.secrets.of("rabbitmq"))
    values = {
        "AMQP_PORT": str(system.ports.amqp),
        "MANAGEMENT_PORT": str(system.ports.management),
        "PROMETHEUS_PORT": str(system.ports.prometheus),
        "DEFINITIONS": str(definitions),
    }
    shared = (DEPLOY / "rabbitmq/rabbitmq.conf").read_text()
    write_private(conf, shared + fill((TEMPLATES / "rabbitmq.conf").read_text(), values))
    write_private(plugins, (DEPLOY / "rabbitmq/enabled_plugins").read_text())
    cookie = system.layout.data / "rabbitmq" / ".erlang.cookie"
    if not cookie.exists():
        write_private(cookie, system.secrets.erlang_cookie)


def _gateway(system: System) -> None:
    main, server = config_files(system, "gateway")
    layout = system.layout
    (layout.run / "nginx").mkdir(exist_ok=True)
    as_root = os.geteuid() == 0
    # Started by root, the workers would become `nobody`, who may not enter the root of the system.
    values = {"ROOT": str(layout.root), "USER_LINE": "user root root;" if as_root else "# The user who started it."}
    write_private(main, fill((TEMPLATES / "nginx.conf").read_text(), values))
    addresses = {
        "GATEWAY_PORT": f"{HOST}:{system.ports.gateway}",
        "UPLOAD_ADDR": f"{HOST}:{system.ports.upload}",
        "REGISTRATION_ADDR": f"{HOST}:{system.ports.registration}",
        "PREVIEW_ADDR": f"{HOST}:{system.ports.preview}",
        "PICTURES_FOLDER": str(layout.pictures),
        "UPLOAD_LIMIT_BODY": str(system.upload_limit + MULTIPART_OVERHEAD),
    } | {name: system.settings.get(f"GATEWAY_{name}", default) for name, default in GATEWAY.items()}
    write_private(server, fill((DEPLOY / "gateway/examflow.conf.template").read_text(), addresses))
