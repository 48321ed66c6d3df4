"""DICOMweb: a change of rights, images in no exam, and what stands on record."""

import itertools

import pytest

from tests import dicom_files
from tests.e2e.ward import Ward
from tests.integration import given
from tests.running import Running, eventually

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_a_change_of_rights_counts_for_lists_at_once(ward: Ward, running: Running) -> None:
    exam, who = given.name(), given.name("carol")
    running.open_exam(exam, f"user:{who}", version=1)
    image = ward.stored(who, exam, dicom_files.fresh_study("CT_small.dcm"))
    carol = ward.http(who)
    paths = ("/dicom-web/studies", f"/dicom-web/studies/{image.study}/metadata", f"{image.path}/frames/1")
    assert [carol.get(path).status_code for path in paths] == [200, 200, 200]
    running.open_exam(exam, "user:bob", version=2)
    assert carol.get(paths[0]).json() == []
    assert carol.get(paths[1]).status_code == 404
    eventually(lambda: carol.get(paths[2]).status_code == 404, 6, "the end of what is remembered")


def test_what_is_in_no_exam_is_its_uploaders(ward: Ward) -> None:
    image = ward.stored("alice", None, dicom_files.fresh_study("CT_small.dcm"))
    for who, scope, sees in (
        ("alice", "images:read", True),
        ("bob", "images:read", False),
        ("oscar", "images:read ops", True),
    ):
        found = ward.viewer(who, scope).search_for_instances(image.study)
        assert bool(found) == sees, who
        assert ward.http(who, scope).get(f"{image.path}/metadata").status_code == (200 if sees else 404)
    assert (
        list(itertools.chain(ward.viewer("bob").search_for_studies(search_filters={"StudyInstanceUID": image.study})))
        == []
    )


def test_each_exam_of_a_study_is_on_record(ward: Ward, running: Running) -> None:
    mine = ward.store("alice")
    others = ward.store("bob", StudyInstanceUID=mine.study)
    olga, mark = ward.http("olga", "images:read exams:all"), given.name("mark")
    assert olga.get(f"/dicom-web/studies/{mine.study}", headers={"X-Correlation-ID": mark}).status_code == 200
    hidden = ward.http("carol").get(f"/dicom-web/studies/{others.study}", headers={"X-Correlation-ID": mark})
    assert hidden.status_code == 404

    auditor = running.client("auditor", "audit:read")

    def told(exam: str) -> list[tuple[str, str]]:
        items = auditor.get(f"/examens-medicaux/{exam}/accesses").json()["items"]
        return [(item["actor"], item["outcome"]) for item in items if item["correlationId"] == mark]

    eventually(lambda: ("olga", "done") in told(ward.exams["alice"]), what="the record of one exam")
    eventually(lambda: ("olga", "done") in told(ward.exams["bob"]), what="the record of the other")
    either = ward.exams.values()
    eventually(lambda: any(("carol", "denied") in told(exam) for exam in either), what="the record of the refusal")
