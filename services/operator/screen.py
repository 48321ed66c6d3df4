"""What is printed: tables on a terminal, whole lines in a pipe, refusals in red."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.texts import visible

# Not on a terminal there is no width to fit: a pipe gets whole lines.
console = Console(width=None if sys.stdout.isatty() else 200)


def say(line: str, style: str = "") -> None:
    """One line, as it is."""
    console.print(visible(line), style=style, soft_wrap=True, highlight=False, markup=False)


def refuse(line: str) -> None:
    """One line on standard error."""
    Console(stderr=True).print(visible(line), style="bold red", soft_wrap=True, highlight=False, markup=False)


def say_json(found: Any) -> None:
    """What the service answered, for a program."""
    sys.stdout.write(visible(json.dumps(found, indent=2, ensure_ascii=False)) + "\n")


def say_rows(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...] = ()) -> None:
    """Rows in columns; the last one is the one that is folded."""
    table = Table(box=None, show_header=bool(heads), header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    width = max((len(row) for row in rows), default=len(heads))
    for column in range(width):
        last = column == width - 1
        table.add_column(heads[column] if heads else "", overflow="fold", no_wrap=not last)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console.print(table)


def when(text: str | None) -> str:
    """A time of the service in this machine's zone: the hour alone if it is today."""
    if text is None:
        return "-"
    moment = datetime.fromisoformat(text).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%Y-%m-%d %H:%M:%S}"
