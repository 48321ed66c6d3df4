"""`python -m tests.bench [warm cold ...]`: measures, prints the table, writes .run/bench.json and .run/bench.md."""

import sys
from collections.abc import Callable

from tests.bench import cold, memory, stampede, table, viewers, warm
from tests.bench.ground import Ground, ground

MEASUREMENTS: dict[str, Callable[[Ground], list[table.Row]]] = {
    "warm": warm.measure,
    "cold": cold.measure,
    "stampede": stampede.measure,
    "viewers": viewers.measure,
    "memory": memory.measure,
}


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(chosen: list[str]) -> None:
    unknown = set(chosen) - set(MEASUREMENTS)
    if unknown:
        raise SystemExit(f"No measurement is called {', '.join(sorted(unknown))}: {', '.join(MEASUREMENTS)} are.")
    rows = []
    with ground(say) as measured:
        for name in chosen or MEASUREMENTS:
            say(f"measuring: {name}")
            rows += MEASUREMENTS[name](measured)
    table.write(rows)
    sys.stdout.write(table.text(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
