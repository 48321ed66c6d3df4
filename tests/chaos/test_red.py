"""The lab turns red where something is really gone: nobody but the test did it, behind everybody's back."""

import pytest

from tests.chaos import balance
from tests.chaos.lab import Lab


def test_what_is_deleted_behind_its_back_is_lost(lab: Lab) -> None:
    lab.send(lab.images(4, exam=lab.exam()))
    lab.balance()
    lab.stop("reconciler", "registration")  # a second look of theirs would mend what was done behind their back
    no_file, no_record, no_row, doubled = (image.orthanc_id for image in lab.sent)
    lab.orthanc.http.delete(f"/instances/{no_file}").raise_for_status()
    lab.tables.ask('DELETE FROM images_medicales WHERE "orthancInstanceId" = :id', id=no_record)
    lab.tables.ask("DELETE FROM intake_ledger WHERE orthanc_id = :id", id=no_row)
    copy = """
        INSERT INTO images_medicales SELECT 'copy', "examenID", "studyInstanceUID", "seriesInstanceUID",
            "sopInstanceUID" || '.1', "dateAcquisition", modalite, description, url, "orthancInstanceId"
        FROM images_medicales WHERE "orthancInstanceId" = :id
    """
    lab.tables.ask(copy, id=doubled)
    found, lab.found = balance.draw(lab.facts(undone={}), balance.NOTHING), None  # the next row starts anew
    with pytest.raises(AssertionError, match="lost"):
        found.must_hold()
    assert found.lost == {no_file: "not in Orthanc", no_record: "no record, and the state registered"}
    assert found.unaccounted == {no_record: "no record, and the state registered", no_row: "no ledger row"}
    assert found.duplicated == {doubled: "2 records"}
    assert list(found.false) == [no_file]
