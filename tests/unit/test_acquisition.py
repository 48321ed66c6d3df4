"""When an image was acquired: which of its dates counts, in which zone, and what broken ones are worth."""

from datetime import UTC, datetime

import pytest
from pydicom import Dataset

from services.upload_service.dicom import text_of
from shared.acquisition import ACQUISITION_TAGS, acquisition_date

ALL = {
    "AcquisitionDateTime": "20010101010101",
    "AcquisitionDate": "20020202",
    "AcquisitionTime": "020202",
    "ContentDate": "20030303",
    "ContentTime": "030303",
    "SeriesDate": "20040404",
    "SeriesTime": "040404",
    "StudyDate": "20050505",
    "StudyTime": "050505",
}


def acquired(zone: str = "UTC", **tags: str) -> str | None:
    """The answer in UTC as ISO text."""
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    moment = acquisition_date({name: text_of(dataset, name) for name in ACQUISITION_TAGS}, zone)
    assert moment is None or moment.tzinfo is UTC
    return None if moment is None else moment.isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ([], "2001-01-01T01:01:01"),
        (["AcquisitionDateTime"], "2002-02-02T02:02:02"),
        (["AcquisitionDateTime", "AcquisitionDate"], "2003-03-03T03:03:03"),
        (["AcquisitionDateTime", "AcquisitionDate", "ContentDate"], "2004-04-04T04:04:04"),
        (["AcquisitionDateTime", "AcquisitionDate", "ContentDate", "SeriesDate"], "2005-05-05T05:05:05"),
        (["AcquisitionDateTime", "AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate"], None),
    ],
)
def test_the_first_date_there_is_counts(without: list[str], expected: str | None) -> None:
    assert acquired(**{name: value for name, value in ALL.items() if name not in without}) == expected


def test_a_file_without_dates_has_none() -> None:
    assert acquired() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240229123456.123456", "2024-02-29T12:34:56.123456"),
        ("20240229123456.1", "2024-02-29T12:34:56.100000"),
        ("20240229123456", "2024-02-29T12:34:56"),
        ("202402291234", "2024-02-29T12:34:00"),
        ("2024022912", "2024-02-29T12:00:00"),
        ("20240229", "2024-02-29T00:00:00"),
        ("20240229123456+0200", "2024-02-29T10:34:56"),
        ("20240229123456.5-0330", "2024-02-29T16:04:56.500000"),
        ("20240101003000+0100", "2023-12-31T23:30:00"),
        ("20240229123456 ", "2024-02-29T12:34:56"),
    ],
)
def test_a_date_and_time_in_one(value: str, expected: str) -> None:
    assert acquired(AcquisitionDateTime=value, StudyDate="20050505") == expected


@pytest.mark.parametrize(
    "value",
    ["2024", "202402", "20240230", "20241301", "2024022925", "today", "", "00000000", "²0240229"],
)
def test_a_partial_or_broken_date_and_time_is_passed_over(value: str) -> None:
    assert acquired(AcquisitionDateTime=value, AcquisitionDate="20020202") == "2002-02-02T00:00:00"


@pytest.mark.parametrize("value", ["2024+0100", "202402-0500", "2024-2025"])
def test_a_year_or_a_month_is_passed_over_with_an_offset_too(value: str) -> None:
    assert acquired(AcquisitionDateTime=value, AcquisitionDate="20020202") == "2002-02-02T00:00:00"


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("123456.789", "2002-02-02T12:34:56.789000"),
        ("123456", "2002-02-02T12:34:56"),
        ("1234", "2002-02-02T12:34:00"),
        ("12", "2002-02-02T12:00:00"),
        ("", "2002-02-02T00:00:00"),
        ("noon", "2002-02-02T00:00:00"),
        ("250000", "2002-02-02T00:00:00"),
        ("126100", "2002-02-02T00:00:00"),
    ],
)
def test_a_time_that_is_missing_or_broken_is_the_days_beginning(clock: str, expected: str) -> None:
    assert acquired(AcquisitionDate="20020202", AcquisitionTime=clock) == expected


@pytest.mark.parametrize("date", ["", "2002", "20020230", "someday", "200202"])
def test_a_broken_date_leaves_the_word_to_the_next_one(date: str) -> None:
    assert acquired(AcquisitionDate=date, AcquisitionTime="120000", StudyDate="20050505") == "2005-05-05T00:00:00"


def test_a_time_belongs_to_its_own_date() -> None:
    assert acquired(StudyDate="20050505", AcquisitionTime="121212") == "2005-05-05T00:00:00"


def test_the_old_form_of_a_date() -> None:
    assert acquired(StudyDate="1996.03.08", StudyTime="120000") == "1996-03-08T12:00:00"


@pytest.mark.parametrize(
    "leap", [{"AcquisitionDateTime": "20161231235960"}, {"StudyDate": "20161231", "StudyTime": "235960"}]
)
@pytest.mark.filterwarnings("ignore:'datetime:UserWarning")
def test_a_leap_second_is_the_second_before(leap: dict[str, str]) -> None:
    assert acquired(**leap) == "2016-12-31T23:59:59"


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+0130", "2002-02-02T10:30:00"),
        ("-0500", "2002-02-02T17:00:00"),
        ("+0000", "2002-02-02T12:00:00"),
        ("-0000", "2002-02-02T12:00:00"),
        ("+1400", "2002-02-01T22:00:00"),
        ("+0130 ", "2002-02-02T10:30:00"),
    ],
)
def test_the_files_own_offset_comes_before_the_facilitys_zone(offset: str, expected: str) -> None:
    tags = {"AcquisitionDate": "20020202", "AcquisitionTime": "120000", "TimezoneOffsetFromUTC": offset}
    assert acquired("Asia/Tokyo", **tags) == expected


@pytest.mark.parametrize("offset", ["", "0130", "+130", "+01:30", "+2400", "CET", "+0²00", "+01 0", "++100", "+-100"])
def test_an_offset_that_is_none_leaves_the_facilitys_zone(offset: str) -> None:
    tags = {"AcquisitionDate": "20020202", "AcquisitionTime": "120000", "TimezoneOffsetFromUTC": offset}
    assert acquired("Europe/Paris", **tags) == "2002-02-02T11:00:00"


def test_a_values_own_offset_comes_before_the_files() -> None:
    tags = {"AcquisitionDateTime": "20020202120000+0200", "TimezoneOffsetFromUTC": "-0500"}
    assert acquired("Asia/Tokyo", **tags) == "2002-02-02T10:00:00"


@pytest.mark.parametrize(
    ("zone", "date", "expected"),
    [
        ("UTC", "20240701", "2024-07-01T12:00:00"),
        ("Europe/Paris", "20240701", "2024-07-01T10:00:00"),
        ("Europe/Paris", "20240101", "2024-01-01T11:00:00"),
        ("America/St_Johns", "20240101", "2024-01-01T15:30:00"),
    ],
)
def test_the_facilitys_zone_with_its_summer_time(zone: str, date: str, expected: str) -> None:
    assert acquired(zone, StudyDate=date, StudyTime="120000") == expected


@pytest.mark.parametrize(
    ("date", "clock", "offset", "expected"),
    [
        ("00010101", "000000", "+0100", None),
        ("99991231", "235959", "-0100", None),
        ("10000101", "000000", "+0100", None),
        ("10000101", "010000", "+0100", "1000-01-01T00:00:00"),
        ("99991230", "225959", "-0100", "9999-12-30T23:59:59"),
        ("99991230", "230000", "-0100", None),
    ],
)
def test_the_edges_of_the_calendar(date: str, clock: str, offset: str, expected: str | None) -> None:
    assert acquired(StudyDate=date, StudyTime=clock, TimezoneOffsetFromUTC=offset) == expected


def test_the_answer_is_a_plain_datetime() -> None:
    tags = {"AcquisitionDateTime": "20240229123456"}
    assert acquisition_date(tags, "UTC") == datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
    assert type(acquisition_date(tags, "UTC")) is datetime
