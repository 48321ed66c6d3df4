import io
import json
import os
import shlex
import socket
import subprocess
from pathlib import Path

import jwt
import pytest

from deploy.local import lifecycle, listener, tokens
from deploy.local.environment import variables, write_env
from deploy.local.errors import LocalSystemError
from deploy.local.files import locked
from deploy.local.layout import Layout
from deploy.local.ports import Ports, holder, is_free
from deploy.local.render import fill
from deploy.local.services import AUDIENCE, ISSUER
from deploy.local.supervisord_conf import write_supervisord_conf
from deploy.local.system import Backing, System, create, load, save, with_ports

NAMES = {
    *("EXAMFLOW_URL", "UPLOAD_URL", "REGISTRATION_URL", "PREVIEW_URL", "DATABASE_URL"),
    *("ORTHANC_URL", "ORTHANC_USER", "ORTHANC_PASSWORD", "ORTHANC_DICOM_PORT", "ORTHANC_AET"),
    *("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL"),
}


@pytest.fixture
def system(tmp_path: Path) -> System:
    system = create(tmp_path / "my system", programs=("upload",))
    system.layout.make()
    save(system)
    return system


def test_env_holds_the_promised_names_and_one_pid_for_each_program_that_runs(system: System) -> None:
    assert set(variables(system, {"upload": 7, "epmd": 8})) == NAMES | {"PID_UPLOAD"}


def test_a_shell_reads_env_as_it_was_written(system: System) -> None:
    write_env(system, lambda: {"upload": 7})

    script = f'set -a; . {shlex.quote(str(system.layout.env))}; echo "$DATABASE_URL $PID_UPLOAD"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout

    assert said == f"{system.database_url('examflow')} 7\n"
    assert system.layout.env.stat().st_mode & 0o777 == 0o600


def test_a_system_is_found_again_with_its_secrets_but_they_lie_apart(system: System) -> None:
    assert load(system.root) == system
    assert system.secrets.orthanc_admin not in system.layout.system.read_text()
    assert system.layout.secrets.stat().st_mode & 0o777 == 0o600


def test_other_ports_move_servers_that_run_here_and_not_those_elsewhere(system: System) -> None:
    other = Ports.free()
    elsewhere = system.model_copy(update={"backing": Backing.here(Ports(orthanc=1))})

    assert with_ports(system, other).backing == Backing.here(other)
    assert with_ports(elsewhere, other).backing == elsewhere.backing


def test_templates_fill_names_and_defaults_and_leave_what_belongs_to_nginx() -> None:
    assert fill("${A} ${B:-two} $host ${C:-}", {"A": "1", "C": "3"}) == "1 two $host 3"
    with pytest.raises(LocalSystemError, match="MISSING"):
        fill("${MISSING}", {})


def test_a_value_that_supervisord_would_cut_is_refused(system: System) -> None:
    with pytest.raises(LocalSystemError, match="EXAMFLOW_X"):
        write_supervisord_conf(system.model_copy(update={"settings": {"EXAMFLOW_X": "a ;b"}}))


def test_a_taken_port_is_told_with_its_holder_before_anything_is_started(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = system.model_copy(update={"ports": Ports.free().model_copy(update={"upload": port})})

        assert not is_free(port)
        assert f"process {os.getpid()}" in (holder(port) or "")
        with pytest.raises(LocalSystemError, match=f"Port {port} .upload. is taken by .*{os.getpid()}"):
            lifecycle.up(taken)
    assert not system.layout.supervisord_pid.exists()


def test_a_second_command_at_once_is_told_who_is_first(system: System) -> None:
    with locked(system.layout.lock, wait=False), pytest.raises(LocalSystemError, match=str(os.getpid())):
        lifecycle.up(system)


def test_what_does_not_run_can_be_stopped_and_forgotten(system: System) -> None:
    assert not lifecycle.down(system.layout)
    lifecycle.clean(system.layout)
    assert not [path for path in system.layout.own_paths() if path.exists()]


def test_forgetting_one_system_leaves_what_lies_beside_it(system: System) -> None:
    beside = system.root / "test-other" / "data"
    beside.mkdir(parents=True)

    lifecycle.clean(system.layout)

    assert beside.exists()


def test_the_listener_answers_each_event_and_ends_with_its_input(system: System) -> None:
    body = "processname:upload groupname:upload from_state:STARTING pid:7"
    event = f"ver:3.0 server:examflow serial:1 pool:p poolserial:1 eventname:PROCESS_STATE_RUNNING len:{len(body)}\n"
    answers = io.StringIO()

    listener.listen(io.StringIO((event + body) * 2), answers, system.root)

    assert answers.getvalue() == "READY\nRESULT 2\nOK" * 2 + "READY\n"
    assert system.layout.env.exists()


def test_a_token_verifies_with_the_jwks_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()

    token = tokens.mint(layout, "u", "images:read", ["a", "b"])

    [key] = jwt.PyJWKSet.from_dict(json.loads(layout.jwks.read_text())).keys
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    assert jwt.get_unverified_header(token)["kid"] == key.key_id
    assert (claims["sub"], claims["scope"], claims["groups"]) == ("u", "images:read", ["a", "b"])
    assert claims["exp"] - claims["iat"] == 8 * 3600
    assert layout.signing_key.stat().st_mode & 0o777 == 0o600
