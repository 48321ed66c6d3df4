"""What the rows came to: one JSON line each as it ends, the table of a run, and the page in docs/."""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local.layout import REPO
from tests.chaos.balance import Balance
from tests.chaos.scale import Scale
from tests.conftest import RUN

JOURNAL = RUN / "chaos" / "rows.jsonl"
PAGE = REPO / "docs" / "reliability.md"
SETS = ("sent", "acknowledged", "stored", "registered", "waiting", "refused", "dead", "lost", "duplicated")
COLUMNS = (*SETS, "unaccounted")
Name = tuple[str, str, str]  # of a test; the fault and the outcome that it states


@dataclass(frozen=True)
class Row:
    """One finished row."""

    name: str
    fault: str
    outcome: str
    passed: bool
    seconds: float
    date: str
    commit: str
    images: int
    stated: bool
    counts: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    cores: int = 0
    why: str = ""


def finished(
    name: str,
    told: tuple[str, str],
    scale: Scale,
    balance: Balance | None,
    seconds: float,
    servers: dict[str, str],
    why: str = "",
) -> Row:
    """A row as it ended; `why` says what failed."""
    counts = {column: len(getattr(balance, column)) for column in COLUMNS} if balance else {}
    return Row(
        name,
        *told,
        passed=not why,
        seconds=round(seconds, 1),
        date=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        images=scale.images,
        stated=scale.stated,
        counts=counts,
        answers=balance.answers if balance else {},
        servers=servers,
        cores=os.cpu_count() or 0,
        why=why,
    )


def write(row: Row, journal: Path = JOURNAL) -> None:
    """At once and to the disk: a lab that crashes later has lost no row."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a") as file:
        file.write(json.dumps(vars(row), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def newest(journal: Path = JOURNAL, *, stated: bool = True) -> dict[str, Row]:
    """The last result of each row at this scale, whenever it ran."""
    if not journal.exists():
        return {}
    rows = [Row(**json.loads(line)) for line in journal.read_text().splitlines()]
    return {row.name: row for row in rows if row.stated == stated}


def table(rows: Iterable[Row]) -> list[str]:
    """For a terminal."""
    short = [column[:5] for column in COLUMNS]
    head = f"{'':6} {'s':>6} " + " ".join(f"{name:>5}" for name in short) + "  fault: outcome"
    return [head, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    counts = " ".join(f"{row.counts.get(column, '-'):>5}" for column in COLUMNS)
    return f"{'ok' if row.passed else 'FAILED':6} {row.seconds:6.1f} {counts}  {row.fault}: {row.outcome}"


def page(names: Sequence[Name], rows: dict[str, Row], command: str) -> str:
    """docs/reliability.md: each row with the result of its last run as stated; one that never ran says so."""
    known = [rows[name] for name, _, _ in names if name in rows]
    lines = [*_head(known, command), *(_cells(fault, outcome, rows.get(name)) for name, fault, outcome in names)]
    return "\n".join(lines) + "\n"


def _head(rows: Sequence[Row], command: str) -> list[str]:
    servers = {f"{name} {version}" for row in rows for name, version in row.servers.items()}
    cores = sorted({row.cores for row in rows})
    dates = sorted({row.date for row in rows})
    between = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    return [
        "# Reliability",
        "",
        "> An upload answered with 2xx is in Orthanc, and becomes exactly one image record, or a visible waiting /",
        "> refused / dead entry with its reason, once its dependencies are up again. Duplicates are harmless. Order is",
        "> not promised.",
        "",
        "The loss lab (`tests/chaos`) tries to break this promise. Each row begins on an empty system: clients upload",
        "images and write down every answer, something fails meanwhile, it is mended, the system comes to rest; then",
        "what stands in Orthanc (every file read back), in PostgreSQL, in the ledger, in the queues and in the events",
        "is compared with what was sent and promised. `lost`: promised, and not kept. `duplicated`: two records, or",
        "announced twice as new. `unaccounted`: in Orthanc without a decision, promised or not. All three must be 0.",
        "",
        f"Run on {between} with `{command}`, all on one machine with {_words(cores)}: {', '.join(sorted(servers))}.",
        "A row shows the last time it ran as stated; this page is written by that command, never by hand.",
        "",
        f"| fault | what must come out | result | {' | '.join(COLUMNS)} | images | seconds | date | version |",
        f"|---|---|---|{'---:|' * (len(COLUMNS) + 2)}---|---|",
    ]


def _words(cores: Sequence[int]) -> str:
    return f"{' or '.join(map(str, cores)) or 'no'} cores"


def _cells(fault: str, outcome: str, row: Row | None) -> str:
    if row is None:
        return f"| {fault} | {outcome} | not run |{' |' * (len(COLUMNS) + 4)}"
    counts: list[Any] = [row.counts.get(column, "") for column in COLUMNS]
    result = "kept" if row.passed else "**FAILED**"
    cells = [fault, outcome, result, *counts, row.images, f"{row.seconds:.0f}", row.date, f"`{row.commit}`"]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _commit() -> str:
    """What was tested; with a + where files had been changed since."""
    try:
        asked = ["git", "-C", str(REPO), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
