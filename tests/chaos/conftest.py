"""The lab's fixtures, and what a run of it leaves behind: a line for each row as it ends, the table, the page."""

import time
from collections.abc import Generator, Iterator

import pytest

from tests.chaos import report, scale
from tests.chaos.lab import Lab
from tests.chaos.scale import Scale
from tests.chaos.setup import Setup, brought_up

LAB = pytest.StashKey[Lab]()
BEGAN = pytest.StashKey[float]()
ROWS = pytest.StashKey[list[report.Row]]()
NAMES = pytest.StashKey[list[tuple[str, str, str]]]()


@pytest.fixture(scope="session")
def chaos_scale(pytestconfig: pytest.Config) -> Scale:
    return _scale(pytestconfig)


def _scale(config: pytest.Config) -> Scale:
    images = config.getoption("--chaos")
    return scale.stated(images) if images else scale.small()


@pytest.fixture(scope="package")
def chaos_setup(request: pytest.FixtureRequest, chaos_scale: Scale) -> Iterator[Setup]:
    if request.config.getoption("--backends") != "local":
        pytest.skip("stops, kills and freezes local processes")
    yield from brought_up(chaos_scale)


@pytest.fixture
def lab(chaos_setup: Setup, chaos_scale: Scale, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab for one row: everything runs and is ready, nothing is stored."""
    chaos_setup.empty(anew=chaos_scale.stated or not chaos_setup.at_rest)
    chaos_setup.at_rest = False
    lab = Lab(chaos_setup, chaos_scale)
    request.node.stash[LAB] = lab
    request.node.stash[BEGAN] = time.monotonic()
    yield lab
    lab.thaw()
    lab.undo()
    chaos_setup.at_rest = lab.found is not None and not lab.found.undone


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note all rows before any is deselected; each has the time that its scale needs."""
    rows = [(item, mark) for item in items if (mark := item.get_closest_marker("row"))]
    config.stash[NAMES] = [(item.name, mark.args[0], mark.args[1]) for item, mark in rows]
    config.stash[ROWS] = []
    for item, _ in rows:
        item.add_marker(pytest.mark.timeout(_scale(config).test_seconds))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    found = yield
    if found.failed and item.config.getoption("--chaos"):  # the run goes on for an hour before pytest tells
        _terminal(item.config).write_line(f"\n{item.nodeid} ({found.when}):\n{found.longreprtext}")
    mark = item.get_closest_marker("row")
    if mark and not found.skipped and (found.when == "call" or (found.when == "setup" and found.failed)):
        lab = item.stash.get(LAB, None)
        seconds = time.monotonic() - item.stash.get(BEGAN, time.monotonic())
        why = str(call.excinfo.value)[:500] or call.excinfo.typename if call.excinfo else ""
        servers = lab.setup.versions if lab else {}
        row = report.finished(
            item.name, mark.args, _scale(item.config), lab.found if lab else None, seconds, servers, why
        )
        report.write(row)
        item.config.stash[ROWS].append(row)
    return found


def _terminal(config: pytest.Config) -> pytest.TerminalReporter:
    found = config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(found, pytest.TerminalReporter)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("the loss lab")
    terminalreporter.write_line("\n".join(report.table(rows)))
    images = config.getoption("--chaos")
    if images:
        names = config.stash[NAMES]
        report.PAGE.write_text(report.page(names, report.newest(), f"make chaos N={images}"))
        terminalreporter.write_line(f"written: {report.PAGE.name}")
