"""What is printed: tables on a terminal, whole lines in a pipe, refusals in red."""

import sys

from rich.console import Console

# Not on a terminal there is no width to fit: a pipe gets whole lines.
console = Console(width=None if sys.stdout.isatty() else 200)


def say(line: str) -> None:
    """One line, as it is."""
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def refuse(line: str) -> None:
    """One line on standard error."""
    Console(stderr=True).print(line, style="bold red", soft_wrap=True, highlight=False, markup=False)
