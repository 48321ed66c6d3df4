"""The tables of this folder, as rows."""

from dataclasses import dataclass
from pathlib import Path

SERVICES = ("upload", "registration", "preview", "reconciler")
EVERY = "every"
_TABLE = Path(__file__).with_name("table.txt")
_OUTCOMES = Path(__file__).with_name("outcomes.txt")


@dataclass(frozen=True)
class Row:
    """What each role gets at one route, about one thing. `expected` is a status, with a `+` where it may say more."""

    service: str
    method: str
    path: str
    about: str
    gateway: str
    expected: dict[str, str]

    @property
    def route(self) -> tuple[str, str, str]:
        """What it is a row of."""
        return self.service, self.method, self.path

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}" + ("" if self.about == "-" else f" [{self.about}]")


@dataclass(frozen=True)
class Outcome:
    """What becomes of an image by what each role does."""

    happening: str
    expected: dict[str, str]

    def __str__(self) -> str:
        return f"outcome {self.happening}"


def rows() -> list[Row]:
    """Those of table.txt, the ones of every service once for each."""
    roles, *lines = _lines(_TABLE)
    found: list[Row] = []
    services: tuple[str, ...] = ()
    for words in lines:
        if len(words) == 1:
            services = SERVICES if words[0] == EVERY else (words[0],)
            continue
        method, path, about, gateway, *cells = words
        if cells[0] == "all":
            cells = cells[1:] * len(roles[1:])
        expected = dict(zip(roles[1:], cells, strict=True))  # the first word of the heading is the gateway's
        found += [Row(service, method, path, about, gateway, expected) for service in services]
    return found


def outcomes() -> list[Outcome]:
    """Those of outcomes.txt."""
    roles, *lines = _lines(_OUTCOMES)
    return [Outcome(words[0], dict(zip(roles, words[1:], strict=True))) for words in lines]


def _lines(path: Path) -> list[list[str]]:
    text = path.read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
