"""What docker-compose.yml and the Dockerfile allow our containers, and what of them is reachable from where."""

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.compose.settings import defaults
from deploy.local.layout import REPO
from deploy.local.secrets import Secrets

COMPOSE: dict[str, Any] = yaml.safe_load((REPO / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if "image" in service and "EXAMFLOW_IMAGE" in service["image"]}
SECRET = re.compile(r"PASSWORD|TOKEN$|SECRET|COOKIE")


def test_ours_are_those_that_run_our_code() -> None:
    assert {"upload", "registration", "reconciler", "preview", "migrate", "definitions"} <= OURS
    assert {"postgres", "rabbitmq", "orthanc", "gateway"} == set(SERVICES) - OURS


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_write_nothing_and_may_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert not {"user", "privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & set(service)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_bounded_and_gains_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert not service.get("privileged")
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_the_image_does_not_run_as_root() -> None:
    lines = [line.split(maxsplit=1) for line in (REPO / "deploy/Dockerfile").read_text().splitlines() if line.strip()]
    users = [words[1] for words in lines if words[0] == "USER"]
    assert users
    uid, _, gid = users[-1].partition(":")
    assert int(uid) > 0  # a number: Kubernetes cannot tell of a name that it is not root
    assert int(gid) > 0
    assert [words[1] for words in lines if words[0] == "ENTRYPOINT"] == ['["python", "-m"]']
    assert not [words for words in lines if words[0] == "ADD"]  # may fetch from the network, and unpacks


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_only_the_gateway_and_the_dicom_port_are_published(name: str) -> None:
    public = [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")]
    assert public == {
        "gateway": ["${PUBLIC_ADDRESS}:${GATEWAY_PORT}:8080"],
        "orthanc": ["${PUBLIC_ADDRESS}:${DICOM_PORT}:4242"],
    }.get(name, [])


def test_the_servers_are_reachable_from_the_services_alone() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert {name for name, where in networks.items() if "front" in where} <= {
        *("gateway", "upload", "registration", "preview")
    }
    assert networks["gateway"] == {"front"}
    for server in ("orthanc", "rabbitmq", "postgres"):
        assert networks[server] == {"back"}


def test_orthanc_is_given_its_routes() -> None:
    mounted = "./deploy/orthanc/routes.lua:/etc/orthanc/routes.lua:ro"
    assert mounted in SERVICES["orthanc"]["volumes"]
    template = (REPO / "deploy/orthanc/orthanc.json.template").read_text()
    assert '"LuaScripts": ["${ORTHANC_ROUTES:-/etc/orthanc/routes.lua}"]' in template
    users = set(re.findall(r'^    "(\w+)": "\$\{ORTHANC_\w+_PASSWORD\}"', template, re.MULTILINE))
    routes = (REPO / "deploy/orthanc/routes.lua").read_text()
    assert users == set(re.findall(r"^  (\w+) = \{$", routes, re.MULTILINE)) | {"admin"} == set(Secrets().of("orthanc"))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_the_file(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    for variable, value in environment.items():
        if SECRET.search(variable):
            assert re.fullmatch(r"\$\{[A-Z_]+(:\?[^}]*)?\}", str(value)), variable
        assert not re.search(r"://[^:/@]+:(?!\$\{)[^@]*@", str(value)), variable


def test_nor_among_the_settings() -> None:
    assert [name for name in defaults() if SECRET.search(name)] == []
