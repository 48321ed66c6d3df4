"""Put the password hashes into the broker's definitions: ``python render.py definitions.json rendered.json``.

Standard library only: it also runs as a one-shot container, before anything of the project is installed.
The password of the user ``upload`` is taken from ``RABBITMQ_UPLOAD_PASSWORD``, and so on for each user.
"""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes
from typing import Any

ALGORITHM = "rabbit_password_hashing_sha256"
SALT_BYTES = 4


class MissingPasswordError(Exception):
    """A user of the definitions has no password in the environment."""


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's own format: base64 of the salt and of SHA-256(salt + password)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def fits(hashed: str, password: str) -> bool:
    """Whether the hash was made from this password."""
    return hashed == password_hash(password, base64.b64decode(hashed)[:SALT_BYTES])


def render(definitions: dict[str, Any], passwords: Mapping[str, str], earlier: Mapping[str, str]) -> dict[str, Any]:
    """The definitions with a hash for each user; a hash of ``earlier`` that still fits is kept.

    Keeping it lets an unchanged system have an unchanged file, so nothing is restarted for a new salt.
    """
    users = []
    for user in definitions["users"]:
        name = user["name"]
        if not passwords.get(name):
            raise MissingPasswordError(f"RABBITMQ_{name.upper()}_PASSWORD is not set: the user {name} needs a password")
        kept = earlier.get(name)
        hashed = (
            kept if kept and fits(kept, passwords[name]) else password_hash(passwords[name], token_bytes(SALT_BYTES))
        )
        users.append({**user, "password_hash": hashed, "hashing_algorithm": ALGORITHM})
    return {**definitions, "users": users}


def render_file(source: Path, target: Path, passwords: Mapping[str, str]) -> None:
    """Write ``target`` readable by its owner alone, in one step."""
    definitions = json.loads(source.read_text())
    rendered = render(definitions, passwords, _hashes(target))
    partial = target.with_name(target.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(rendered, indent=2) + "\n")
    partial.replace(target)


def _hashes(rendered: Path) -> dict[str, str]:
    try:
        return {user["name"]: user["password_hash"] for user in json.loads(rendered.read_text())["users"]}
    except (OSError, ValueError, KeyError):
        return {}


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Render one file; returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: render.py DEFINITIONS RENDERED\n")
        return 2
    source, target = map(Path, arguments)
    prefix, suffix = "RABBITMQ_", "_PASSWORD"
    passwords = {
        name.removeprefix(prefix).removesuffix(suffix).lower(): value
        for name, value in environment.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
    try:
        render_file(source, target, passwords)
    except (MissingPasswordError, OSError, ValueError) as error:
        sys.stderr.write(f"render.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
