"""What the lab writes down: each row at once, the last result as stated, and what did not run."""

from dataclasses import replace
from pathlib import Path

from tests.chaos import report, scale

NAMES = [("test_down", "Orthanc down", "503"), ("test_frozen", "Orthanc frozen", "found later")]
ROW = replace(
    report.finished("test_down", ("Orthanc down", "503"), scale.stated(7), None, 61.04, {"Orthanc": "1.10.1"}),
    counts=dict.fromkeys(report.COLUMNS, 0) | {"sent": 7},
)


def test_a_row_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    journal = tmp_path / "chaos" / "rows.jsonl"
    report.write(ROW, journal)
    report.write(replace(ROW, passed=False, why="lost"), journal)
    report.write(replace(ROW, stated=False), journal)
    assert report.newest(journal) == {"test_down": replace(ROW, passed=False, why="lost")}
    assert report.newest(tmp_path / "none") == {}


def test_the_page_shows_each_row_and_says_which_never_ran() -> None:
    page = report.page(NAMES, {"test_down": ROW}, "make chaos N=7")
    lines = [line for line in page.splitlines() if line.startswith("| Orthanc")]
    assert lines[0].startswith("| Orthanc down | 503 | kept | 7 | 0 |")
    assert lines[1].startswith("| Orthanc frozen | found later | not run |")
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1
    assert "`make chaos N=7`" in page


def test_a_failed_row_says_so() -> None:
    failed = replace(ROW, passed=False, counts={})
    assert "**FAILED**" in report.page(NAMES, {"test_down": failed}, "make chaos")
    assert report.table([failed])[1].startswith("FAILED")
