"""The gateway sends pictures from preview's folder: nobody can tell, and nobody gets one that preview did not allow."""

from collections.abc import Iterator

import httpx
import pytest

from tests.dicom_files import fresh
from tests.integration import faulty
from tests.integration.faulty import Faulty
from tests.running import registered, upload

BY_GATEWAY, BY_SERVICE = 'examflow_preview_sent_total{by="gateway"}', 'examflow_preview_sent_total{by="service"}'
PLACE = "/__pictures/"
ASK = {"X-Sendfile-Type": "X-Accel-Redirect"}


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    if request.config.getoption("--backends") != "local":
        pytest.skip("looks into the folder of pictures")
    for one in faulty.make(EXAMFLOW_WARMING__ON="false"):
        one.running.open_exam("EX-SENT", "user:alice")
        yield one


@pytest.fixture(scope="module")
def address(system: Faulty) -> str:
    """A picture that was made."""
    client = system.running.client()
    image: str = upload(client, fresh("CT_small.dcm"), examenID="EX-SENT").json()["data"]["ID"]
    registered(client, image)
    return f"/dicom/instances/{image}/preview?quality=91"


@pytest.fixture(autouse=True)
def _made(system: Faulty, address: str) -> None:
    assert system.running.client().get(address).status_code == 200


def past_the_gateway(system: Faulty, address: str, **headers: str) -> httpx.Response:
    token = system.running.token("alice")
    url = system.system.service_url("preview") + address
    return httpx.get(url, headers={"Authorization": f"Bearer {token}", **headers}, trust_env=False)


def sent(system: Faulty) -> tuple[float, float]:
    """How many by the gateway, and by the service."""
    lines = past_the_gateway(system, "/metrics").text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("examflow_preview_sent_total"))
    return float(found.get(BY_GATEWAY, 0)), float(found.get(BY_SERVICE, 0))


def place_of(system: Faulty, address: str) -> str:
    """Where the gateway is told that the file lies, which clients never see."""
    place: str = past_the_gateway(system, address, **ASK).headers["x-accel-redirect"]
    assert place.startswith(PLACE)
    return place.removeprefix(PLACE)


def test_nobody_can_tell_who_sent_it(system: Faulty, address: str) -> None:
    mine = {"X-Correlation-ID": "corr-31"}
    by_service = past_the_gateway(system, address, **mine)
    before = sent(system)
    by_gateway = system.running.client().get(address, headers=mine)
    assert sent(system) == (before[0] + 1, before[1])
    assert by_gateway.content == by_service.content
    same = (
        "etag",
        "vary",
        "cache-status",
        "content-type",
        "content-length",
        "x-correlation-id",
        "x-content-type-options",
    )
    assert [by_gateway.headers.get_list(name) for name in same] == [[by_service.headers[name]] for name in same]
    assert [len(by_gateway.headers.get_list(name)) for name in ("age", "cache-control")] == [1, 1]
    extra = ("last-modified", "accept-ranges", "x-accel-redirect")
    assert [name for name in extra if name in by_gateway.headers] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": '"another"'}, 200),
        ({"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}, 200),
        ({"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"If-Match": '"another"'}, 200),
        ({"Range": "bytes=0-9"}, 200),
        ({"X-Sendfile-Type": "none"}, 200),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_asked_decides_and_not_what_a_file_server_thinks(
    system: Faulty, address: str, headers: dict[str, str], status: int
) -> None:
    answer = system.running.client().get(address, headers=headers)
    assert (answer.status_code, answer.content) == (status, past_the_gateway(system, address).content)


def test_a_file_that_is_gone_is_no_error(system: Faulty, address: str) -> None:
    client = system.running.client()
    whole = client.get(address)
    lies = system.system.layout.pictures / place_of(system, address)
    aside = lies.rename(lies.with_name("aside"))
    try:
        for prefix in ("/api", ""):
            answer = httpx.get(
                system.system.url + prefix + address, headers=dict(client.headers) | {"Accept": "image/jpeg"}
            )
            assert (answer.status_code, answer.content) == (200, whole.content)
            assert [len(answer.headers.get_list(name)) for name in ("cache-control", "etag", "vary", "age")] == [1] * 4
        png = client.get(address, headers={"Accept": "image/png"})
        assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    finally:
        aside.rename(lies)


def test_nobody_gets_there_past_preview(system: Faulty, address: str) -> None:
    lies = place_of(system, address)
    assert (system.system.layout.pictures / lies).is_file()
    for path in (PLACE + lies, "/api" + PLACE + lies, "/dicom/instances/.." + "/.." + PLACE + lies):
        answer = httpx.get(system.system.url + path, headers=dict(system.running.client().headers) | ASK)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/route-unknown")


def test_who_may_not_see_it_gets_none(system: Faulty, address: str) -> None:
    before = sent(system)
    answer = system.running.client("mallory").get(address)
    assert (answer.status_code, sent(system)) == (404, before)
    assert "x-accel-redirect" not in answer.headers


def test_head_is_answered_by_preview(system: Faulty, address: str) -> None:
    before = sent(system)
    assert system.running.client().head(address).status_code == 200
    assert sent(system) == (before[0], before[1] + 1)
