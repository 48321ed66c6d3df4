"""Whom each column of the table is: who the token names, what it carries, or what is wrong with it."""

import base64
import json
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.system import load
from tests.running import FRONT_END, Running

WARD = "ward-of-the-table"


@dataclass(frozen=True)
class Role:
    """`sub` is the token's; what is None has no token of ours."""

    sub: str | None
    scope: str = FRONT_END
    groups: tuple[str, ...] = ()


ROLES = {
    "none": Role(None),
    "expired": Role("princ"),
    "foreign": Role("princ"),
    "noscope": Role("princ", "openid", (WARD,)),
    "stranger": Role("stranger"),
    "princ": Role("princ"),
    "member": Role("member", groups=("others", WARD)),
    "uploader": Role("uploader"),
    "other": Role("other"),
    "scanner": Role("scanner", "dicom:upload"),
    "oversee": Role("oversee", f"{FRONT_END} exams:all"),
    "operator": Role("operator", f"{FRONT_END} ops"),
    "his": Role("his", "exams:write"),
    "auditor": Role("auditor", "audit:read"),
    "service": Role(None),
}


def credentials(running: Running, name: str) -> dict[str, str]:
    """The headers by which the role is known."""
    role = ROLES[name]
    if name == "service":
        system = load(running.root)
        assert system is not None
        return _bearer(system.secrets.internal_token)
    if role.sub is None:
        return {}
    good = running.token(role.sub, role.scope, role.groups, lifetime=-3600 if name == "expired" else 3600)
    return _bearer(_signed_by_a_stranger(good) if name == "foreign" else good)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _signed_by_a_stranger(token: str) -> str:
    """The same claims under the same kid, with another key."""
    claims = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(said, key, algorithm="RS256", headers={"kid": jwt.get_unverified_header(token)["kid"]})
