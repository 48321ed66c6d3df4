"""Pictures made before: how many a second, beside Orthanc making each anew, an nginx file and `proxy_cache`."""

from collections.abc import Callable
from statistics import median

import httpx

from tests.bench import images
from tests.bench.ground import Ground
from tests.bench.table import Row, at_least
from tests.bench.wrk import Request, load
from tests.bench.yardsticks import Yardsticks, yardsticks

IMAGES, ROUNDS, SECONDS = 16, 3, 3
CONNECTIONS = (8, 32)
STRICT, ASYNC, PYTHON = "strict audit", "async audit", "strict audit, bytes from Python"
MODES = {
    STRICT: {"EXAMFLOW_AUDIT__MODE": "strict"},
    ASYNC: {"EXAMFLOW_AUDIT__MODE": "async"},
    PYTHON: {"EXAMFLOW_AUDIT__MODE": "strict", "EXAMFLOW_CACHE__GATEWAY_BYTES": "1000000000"},
}
ORTHANC = "Orthanc's own /preview, 8 connections"
Measure = Callable[[], float]


def measure(ground: Ground, rounds: int = ROUNDS) -> list[Row]:
    """In rounds, since the machine is not always as fast: each number is the median of all rounds."""
    ids = ground.stored([images.ct() for _ in range(IMAGES)])
    found: dict[str, list[float]] = {}
    with yardsticks(ground, ids) as beside:
        for number in range(rounds):
            for mode, settings in MODES.items():
                ground.restarted(**settings)
                for name, one in _measures(ground, beside, ground.views(ids), mode).items():
                    found.setdefault(name, []).append(one())
            ground.say(f"warm: round {number + 1} of {rounds}")
    return _rows({name: median(rates) for name, rates in found.items()})


def _measures(ground: Ground, beside: Yardsticks, views: list[Request], mode: str) -> dict[str, Measure]:
    """What a round measures in one mode, in this order."""
    gateway, unchanged = ground.system.url, _unchanged(ground, views)
    asked: dict[str, tuple[str, list[Request], int]] = {ORTHANC: (beside.orthanc, [*beside.pictures], 8)}
    for connections in CONNECTIONS:
        asked[f"warm, {mode}, {connections} connections"] = gateway, views, connections
        if mode != PYTHON:
            asked[f"304, {mode}, {connections} connections"] = gateway, unchanged, connections
        if mode == STRICT:
            asked[f"nginx file, {connections} connections"] = beside.nginx, [*beside.files], connections
            asked[f"nginx proxy_cache, {connections} connections"] = beside.nginx, [*beside.pictures], connections
    return {name: _rate(*what) for name, what in asked.items()}


def _rate(url: str, requests: list[Request], connections: int) -> Measure:
    return lambda: load(url, requests, connections, SECONDS).rate


def _unchanged(ground: Ground, views: list[Request]) -> list[Request]:
    """The same with the ETag that a browser knows; on the way, every picture is found once."""
    with httpx.Client(base_url=ground.system.url, trust_env=False, timeout=60) as client:
        found = [client.get(view.path, headers=dict(view.headers)).raise_for_status() for view in (*views, *views)]
    assert {one.headers["cache-status"] for one in found[len(views) :]} == {"examflow; hit"}
    tags = [one.headers["etag"] for one in found[: len(views)]]
    return [Request(view.path, {**view.headers, "If-None-Match": tag}) for view, tag in zip(views, tags, strict=True)]


def _rows(rates: dict[str, float]) -> list[Row]:
    orthanc = rates[ORTHANC]
    rows = [Row(ORTHANC, orthanc, "/s")]
    for connections in CONNECTIONS:
        at = f"{connections} connections"
        rows += [Row(f"{name}, {at}", rates[f"{name}, {at}"], "/s") for name in ("nginx file", "nginx proxy_cache")]
        python = rates[f"warm, {PYTHON}, {at}"]
        rows.append(Row(f"warm, {PYTHON}, {at}", python, "/s", python / orthanc, "Orthanc"))
        for mode in (STRICT, ASYNC):
            name = f"warm, {mode}, {at}"
            rate, unchanged = rates[name], rates[f"304, {mode}, {at}"]
            own = Row(name, rate, "/s", rate / orthanc, "Orthanc")
            if mode == ASYNC:
                rows.append(own)
            else:
                rows += [at_least(own, 20), Row(name, rate, "/s", rate / python, "bytes from Python")]
            for beside in ("nginx file", "nginx proxy_cache"):
                ratio = rate / rates[f"{beside}, {at}"]
                rows.append(at_least(Row(name, rate, "/s", ratio, beside), 0.33))
            again = Row(f"304, {mode}, {at}", unchanged, "/s", unchanged / rate, "warm")
            rows.append(at_least(again, 2))
    return rows
