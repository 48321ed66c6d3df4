"""The one file that every Compose command is given: the settings of .env, the secrets, where the public keys lie."""

import os
import shutil
from pathlib import Path

from dotenv import dotenv_values

from deploy.local.files import write_private
from deploy.local.layout import REPO, Layout
from deploy.local.ports import Ports
from deploy.local.system import System, create, save
from deploy.local.tokens import make_keys

SERVERS = ("orthanc", "rabbitmq", "postgres")


def defaults() -> dict[str, str]:
    """What .env says, or the environment in its place."""
    known = dotenv_values(REPO / ".env", interpolate=False)
    return {name: os.environ.get(name, value or "") for name, value in known.items()}


def make_system(root: Path, ports: Ports | None = None) -> System:
    """A system below ``root`` whose programs run in containers: its addresses, secrets and keys are found as usual."""
    known = defaults()
    published = {
        name: int(known[f"{name.upper()}_PORT"]) for name in Ports.model_fields if f"{name.upper()}_PORT" in known
    }
    system = create(root, ports=ports or Ports(**published), programs=())
    system.layout.make()
    save(system)
    make_keys(system.layout)
    return system


def settings_file(layout: Layout) -> Path:
    """Where the settings of a system are written."""
    return layout.root / "compose.env"


def write_settings(system: System, changes: dict[str, str]) -> Path:
    """Write the settings; ``changes`` take the place of what .env says."""
    values = defaults() | _ports(system.ports) | _secrets(system) | {"TOKENS_DIR": str(_public_keys(system.layout))}
    path = settings_file(system.layout)
    write_private(path, "".join(f"{name}={value}\n" for name, value in (values | changes).items()))
    return path


def _ports(ports: Ports) -> dict[str, str]:
    return {f"{name.upper()}_PORT": str(port) for name, port in ports if f"{name.upper()}_PORT" in defaults()}


def _secrets(system: System) -> dict[str, str]:
    passwords = {
        f"{server}_{user}_PASSWORD".upper(): password
        for server in SERVERS
        for user, password in system.secrets.of(server).items()
    }
    own = {"INTERNAL_TOKEN": system.secrets.internal_token, "SIGNED_URL_SECRET": system.secrets.signed_url_secret}
    return passwords | own


def _public_keys(layout: Layout) -> Path:
    """A directory with the JWKS file alone: the containers' user may read it, and gets nothing else to see."""
    public = layout.root / "public"
    public.mkdir(exist_ok=True)
    public.chmod(0o755)
    shutil.copyfile(layout.jwks, public / layout.jwks.name)
    (public / layout.jwks.name).chmod(0o644)
    return public
