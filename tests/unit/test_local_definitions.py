import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import REPO
from deploy.rabbitmq.render import MissingPasswordError, fits, password_hash, render, render_file
from services.registration_service.settling import rung

SOURCE = REPO / "deploy" / "rabbitmq" / "definitions.json"
PASSWORDS = {"admin": "a", "upload": "b", "registration": "c", "preview": "d", "preview_rights": "e"}


def test_a_hash_has_the_form_that_rabbitmq_documents() -> None:
    # The worked example of RabbitMQ's "Credentials and Passwords" guide.
    assert password_hash("test12", bytes.fromhex("908DC60A")) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_every_user_gets_a_hash_that_fits_and_no_password(tmp_path: Path) -> None:
    target = tmp_path / "rendered.json"

    render_file(SOURCE, target, PASSWORDS)

    users = json.loads(target.read_text())["users"]
    assert {user["name"] for user in users} == set(PASSWORDS)
    assert all(fits(user["password_hash"], PASSWORDS[user["name"]]) for user in users)
    assert not any("password" in user for user in users)
    assert target.stat().st_mode & 0o777 == 0o600


def test_rendering_again_changes_only_the_hash_of_a_changed_password(tmp_path: Path) -> None:
    target = tmp_path / "rendered.json"
    render_file(SOURCE, target, PASSWORDS)
    before = json.loads(target.read_text())

    render_file(SOURCE, target, {**PASSWORDS, "upload": "changed"})

    after = json.loads(target.read_text())
    changed = [new["name"] for old, new in zip(before["users"], after["users"], strict=True) if old != new]
    assert changed == ["upload"]


def test_a_user_without_a_password_is_named() -> None:
    with pytest.raises(MissingPasswordError, match="RABBITMQ_UPLOAD_PASSWORD"):
        render({"users": [{"name": "upload"}]}, {}, {})


def test_it_runs_as_a_script_with_nothing_installed(tmp_path: Path) -> None:
    script = REPO / "deploy" / "rabbitmq" / "render.py"
    environment = {f"RABBITMQ_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
    command = [sys.executable, "-I", str(script), str(SOURCE), str(tmp_path / "rendered.json")]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "rendered.json").read_text())["users"][0]["password_hash"]


def may(definitions: dict[str, list[dict[str, str]]], user: str, key: str) -> bool:
    [rule] = [rule for rule in definitions["topic_permissions"] if rule["user"] == user]
    return re.search(rule["write"], key) is not None


def test_each_service_publishes_its_own_types_and_no_others() -> None:
    definitions = json.loads(SOURCE.read_text())

    assert may(definitions, "upload", "dicom.stored")
    assert not may(definitions, "upload", "image.registered")
    assert may(definitions, "registration", "image.moved")
    assert not may(definitions, "registration", "exam.upserted")
    assert may(definitions, "preview", "audit.recorded")
    assert not may(definitions, "preview", "dicom.stored")


def test_who_declares_a_queue_writes_to_none_but_that_one() -> None:
    """From a queue of one's own, messages go on past every check of keys: as dead letters, to where one may write."""
    definitions = json.loads(SOURCE.read_text())

    declaring = {rule["user"]: rule for rule in definitions["permissions"] if rule["configure"] != "^$"}
    assert set(declaring) == {"admin", "preview_rights"}
    rule = declaring["preview_rights"]
    assert rule["write"] == rule["configure"] == r"^preview\.rights\..*$"
    assert rule["read"] == r"^(medical-images|preview\.rights\..*)$"
    [topics] = [topic for topic in definitions["topic_permissions"] if topic["user"] == "preview_rights"]
    assert (topics["write"], topics["read"]) == ("^$", r"^exam\.rights-changed$")


def test_the_queues_leave_their_limits_to_policies() -> None:
    definitions = json.loads(SOURCE.read_text())

    work = ["registration.dicom-stored", "registration.exam-upserted", "registration.audit-recorded"]
    rungs = [rung(queue, attempt) for queue in work for attempt in (1, 2, 3)]
    quorum = {"x-queue-type": "quorum"}
    found = {queue["name"]: queue["arguments"] for queue in definitions["queues"]}
    ahead = {"preview.dicom-stored": {"x-queue-type": "classic"}}  # it may lose, and need not be replicated
    assert found == dict.fromkeys([*work, *rungs, "registration.dead"], quorum) | ahead
    policies = {policy["name"]: policy["definition"] for policy in definitions["policies"]}
    # A full dead queue hides letters: no length limit may ever stand there.
    assert policies["registration-dead"] == {"delivery-limit": 1000000}
    assert policies["registration-dicom-stored-retry"]["dead-letter-routing-key"] == "registration.dicom-stored"
    assert policies["registration-exam-upserted-retry"]["dead-letter-routing-key"] == "registration.exam-upserted"
