"""What was measured: a table for the terminal, JSON for programs, and a part of docs/performance.md."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.layout import REPO

JSON, MARKDOWN = REPO / ".run" / "bench.json", REPO / ".run" / "bench.md"
COLUMNS = ("what", "value", "unit", "ratio", "to", "goal", "met")


@dataclass(frozen=True)
class Row:
    """One number; `ratio` to what was measured in the same run. `met` is None where there is no goal."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    to: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """As text."""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.name, _short(self.value), self.unit, ratio, self.to, self.goal, met


def at_least(row: Row, ratio: float) -> Row:
    """The same with a goal for its ratio."""
    return _goal(row, f">= {ratio:g}", (row.ratio or 0) >= ratio)


def at_most(row: Row, ratio: float) -> Row:
    """The same with a limit for its ratio."""
    return _goal(row, f"<= {ratio:g}", row.ratio is not None and row.ratio <= ratio)


def value_at_most(row: Row, value: float) -> Row:
    """The same with a limit for its value."""
    return _goal(row, f"<= {_short(value)} {row.unit}", row.value <= value)


def text(rows: Sequence[Row]) -> str:
    """For a terminal."""
    cells = [COLUMNS, *(row.cells for row in rows)]
    widths = [max(len(one[at]) for one in cells) for at in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)) for one in cells)


def write(rows: Sequence[Row]) -> None:
    """To .run/bench.json, and as a part of docs/performance.md to .run/bench.md."""
    told = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "machine": machine()}
    JSON.write_text(json.dumps({**told, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    lines = [_line(COLUMNS), "|---|---:|---|---:|---|---|---|", *(_line(row.cells) for row in rows)]
    load = f"load average (15 minutes, its own included) {os.getloadavg()[2]:.2f}"
    head = f"{told['date']}, version `{told['commit']}`, {machine()}, {load}.\n\n"
    MARKDOWN.write_text(head + "\n".join(lines) + "\n")


def machine() -> str:
    """Its cores and their kind, and the versions of what took part."""
    kinds = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    versions = ", ".join(_version(*command) for command in (("nginx", "-v"), ("Orthanc", "--version"), ("wrk", "-v")))
    kind = kinds[0] if kinds else platform.machine()
    return f"{os.cpu_count()} cores ({kind}), Python {platform.python_version()}, {versions}"


def _goal(row: Row, goal: str, met: bool) -> Row:  # noqa: FBT001
    return Row(row.name, row.value, row.unit, row.ratio, row.to, goal, met)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _version(*command: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).splitlines()[0].split(" [")[0].replace("nginx version: ", "")


def _commit() -> str:
    asked = ["git", "-C", str(REPO), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
