"""DICOMweb with a client of others' making: whatever UIDs somebody chooses, they are shown what is theirs alone."""

import itertools

import pytest

from tests.e2e.ward import Ward, sops, tagged, value
from tests.running import registered, upload

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_a_study_of_two_exams_is_for_each_what_is_theirs(ward: Ward) -> None:
    mine = ward.store("alice")
    more = ward.store("alice", StudyInstanceUID=mine.study, SeriesInstanceUID=mine.series)
    others = ward.store("bob", StudyInstanceUID=mine.study, Modality="MR")
    alice, bob, olga = ward.viewer("alice"), ward.viewer("bob"), ward.viewer("olga", "images:read exams:all")
    for viewer, images, modalities in (
        (alice, (mine, more), ["CT"]),
        (bob, (others,), ["MR"]),
        (olga, (mine, more, others), ["CT", "MR"]),
    ):
        (study,) = viewer.search_for_studies(search_filters={"StudyInstanceUID": mine.study})
        series = {image.series for image in images}
        assert value(study, "00201208") == len(images)
        assert value(study, "00201206") == len(series)
        assert sorted(study["00080061"]["Value"]) == modalities
        found = viewer.search_for_series(mine.study)
        assert {value(item, "0020000E") for item in found} == series
        assert sum(value(item, "00201209") for item in found) == len(images)
        theirs = {image.sop for image in images}
        assert sops(viewer.search_for_instances(mine.study)) == theirs
        assert sops(viewer.retrieve_study_metadata(mine.study)) == theirs
        assert {dataset.SOPInstanceUID for dataset in viewer.retrieve_study(mine.study)} == theirs
    for refused in (
        lambda: alice.retrieve_instance(*others.uids),
        lambda: alice.retrieve_series(mine.study, others.series),
        lambda: alice.retrieve_series_metadata(mine.study, others.series),
        lambda: alice.retrieve_instance_frames(*others.uids, [1]),
        lambda: alice.retrieve_instance_rendered(*others.uids, media_types=("image/jpeg",)),
    ):
        with pytest.raises(Exception, match="404"):
            refused()
    assert alice.search_for_series(mine.study, search_filters={"SeriesInstanceUID": others.series}) == []
    assert alice.search_for_instances(search_filters={"SOPInstanceUID": others.sop}) == []


def test_the_same_study_uid_of_another_patient_shows_nobody_that_patient(ward: Ward) -> None:
    """Whoever knows a study's UID may upload an image of that study, as another patient's."""
    victim = ward.store("alice", PatientID="VICTIM", PatientName="Victim^Vera")
    thief = ward.store("bob", PatientID="THIEF", StudyInstanceUID=victim.study, SeriesInstanceUID=victim.series)
    bob = ward.viewer("bob")
    for found in (
        bob.search_for_studies(search_filters={"StudyInstanceUID": victim.study}),
        bob.search_for_series(victim.study),
        bob.search_for_instances(victim.study, victim.series),
        bob.retrieve_study_metadata(victim.study),
    ):
        (item,) = found
        assert value(item, "00100020") == "THIEF"
    assert bob.search_for_studies(search_filters={"PatientID": "VICTIM"}) == []
    (study,) = bob.search_for_studies(search_filters={"StudyInstanceUID": victim.study})
    assert value(study, "00201208") == 1
    assert [dataset.SOPInstanceUID for dataset in bob.retrieve_study(victim.study)] == [thief.sop]
    both = ward.viewer("olga", "images:read exams:all").search_for_studies(
        search_filters={"StudyInstanceUID": victim.study}
    )
    assert {value(item, "00100020") for item in both} == {"VICTIM", "THIEF"}


def test_a_series_or_sop_uid_in_ones_own_study_shows_nobody_the_others(ward: Ward) -> None:
    """Whoever knows a patient's ID and a UID may upload an image of a new study with both."""
    victim = ward.store("alice", PatientID="VICTIM-2", PatientName="Victim^Vera")
    ward.store("bob", PatientID="VICTIM-2", SeriesInstanceUID=victim.series)
    bob = ward.http("bob")
    for level, matched in (
        ("series", {"SeriesInstanceUID": victim.series}),
        ("instances", {"SeriesInstanceUID": victim.series}),
        ("instances", {"PatientID": "VICTIM-2"}),
        ("studies", {"PatientID": "VICTIM-2"}),
    ):
        found = bob.get(f"/dicom-web/{level}", params=matched).json()
        assert [value(item, "0020000D") == victim.study for item in found] == [False], (level, matched)


def test_a_study_tells_nothing_of_an_image_in_it_that_is_another_exams(ward: Ward) -> None:
    mine = ward.store("alice", SeriesDescription="mine", ImageComments="mine")
    ward.store("bob", StudyInstanceUID=mine.study, SeriesDescription="hidden", ImageComments="hidden", Modality="MR")
    ward.store("bob", StudyInstanceUID=mine.study, SeriesInstanceUID=mine.series, ImageComments="hidden")
    alice = ward.http("alice")
    everything = {"StudyInstanceUID": mine.study, "includefield": "all"}
    named = {**everything, "includefield": "SeriesInstanceUID,SOPInstanceUID,SeriesDescription,ImageComments,00080062"}
    for level, asked in itertools.product(("studies", "series", "instances"), (everything, named)):
        answer = alice.get(f"/dicom-web/{level}", params=asked)
        assert len(answer.json()) == 1, (level, answer.text)
        assert "hidden" not in answer.text, (level, asked)
    for level in ("studies", "series"):
        assert "0020000E" not in alice.get("/dicom-web/studies", params=named).json()[0]
        assert alice.get(f"/dicom-web/{level}", params={**everything, "ImageComments": "hid*"}).status_code == 400
    for hidden in ({"ModalitiesInStudy": "MR"}, {"00080061": "MR"}):
        assert alice.get("/dicom-web/studies", params={**everything, **hidden}).json() == []
    assert alice.get("/dicom-web/instances", params={**everything, "ImageComments": "hid*"}).json() == []
    assert len(alice.get("/dicom-web/instances", params={**everything, "ImageComments": "min*"}).json()) == 1


def test_two_patients_studies_of_one_uid_are_both_listed_for_who_sees_both(ward: Ward) -> None:
    first = ward.store("alice", PatientID="FIRST")
    ward.store("alice", PatientID="SECOND", StudyInstanceUID=first.study, SeriesInstanceUID=first.series)
    ward.store("alice", PatientID="SECOND", StudyInstanceUID=first.study, SeriesInstanceUID=first.series)
    alice = ward.viewer("alice")
    studies = alice.search_for_studies(search_filters={"StudyInstanceUID": first.study})
    counts = {value(item, "00100020"): value(item, "00201208") for item in studies}
    assert counts.keys() == {"FIRST", "SECOND"}
    assert counts["FIRST"] + counts["SECOND"] >= 3
    series = alice.search_for_series(first.study)
    assert {value(item, "00100020") for item in series} == {"FIRST", "SECOND"}
    assert len(alice.search_for_instances(first.study)) == 3


def test_a_taken_sop_uid_is_told_and_not_guessed(ward: Ward) -> None:
    """Orthanc's plugin finds by UID: of two images with one, neither's metadata is given; the file is, by its id."""
    image = ward.store("alice", PatientID="OWNER")
    copy = tagged(image.content, PatientID="COPY")
    copied = upload(ward.running.client("bob"), copy).json()["data"]
    registered(ward.running.client("bob"), copied["ID"], "refused")
    alice = ward.http("alice")
    answer = alice.get(f"{image.path}/metadata")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/ambiguous-uid")
    assert image.sop in answer.json()["message"]
    (dataset,) = [ward.viewer("alice").retrieve_instance(*image.uids)]
    assert dataset.PatientID == "OWNER"
    assert alice.get(f"{image.path}/rendered").status_code == 200
