"""DICOMweb with a client of others' making: it lists, retrieves and renders what its token may see, nothing else."""

import io
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from tests import dicom_files
from tests.integration import given
from tests.running import Running, eventually, registered, upload

JPEG_LS, EXPLICIT = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@dataclass(frozen=True)
class Stored:
    """An image, with its UIDs."""

    content: bytes
    orthanc_id: str
    study: str
    series: str
    sop: str

    @property
    def path(self) -> str:
        return f"/dicom-web/studies/{self.study}/series/{self.series}/instances/{self.sop}"

    @property
    def uids(self) -> tuple[str, str, str]:
        return self.study, self.series, self.sop


class Ward:
    """Alice's and bob's exams, and how images come into them."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.exams = {who: given.name() for who in ("alice", "bob")}
        for who, exam in self.exams.items():
            running.open_exam(exam, f"user:{who}")

    def store(self, who: str, name: str = "CT_small.dcm", **tags: str) -> Stored:
        """In an exam of theirs; `tags` are given to it first."""
        return self.stored(who, self.exams[who], _with(dicom_files.fresh_study(name), **tags))

    def stored(self, who: str, exam: str | None, content: bytes) -> Stored:
        client = self.running.client(who)
        data = upload(client, content, **({"examenID": exam} if exam else {})).json()["data"]
        registered(client, data["ID"], "registered" if exam else "waiting")
        uids = (data["StudyInstanceUID"], data["SeriesInstanceUID"], data["SOPInstanceUID"])
        return Stored(content, data["ID"], *uids)

    def viewer(self, who: str, scope: str = "images:read") -> DICOMwebClient:
        token = self.running.token(who, scope)
        return DICOMwebClient(
            self.running.env["EXAMFLOW_URL"] + "/dicom-web", headers={"Authorization": f"Bearer {token}"}
        )

    def http(self, who: str, scope: str = "images:read") -> httpx.Client:
        return self.running.at("EXAMFLOW_URL", Authorization=f"Bearer {self.running.token(who, scope)}")


@pytest.fixture(scope="module")
def ward(running: Running) -> Iterator[Ward]:
    with warnings.catch_warnings(action="ignore"):
        yield Ward(running)


def _with(content: bytes, **tags: str) -> bytes:
    if not tags:
        return content
    dataset = dcmread(io.BytesIO(content))
    for name, value in tags.items():
        setattr(dataset, name, value)
    if "SOPInstanceUID" in tags:
        dataset.file_meta.MediaStorageSOPInstanceUID = UID(tags["SOPInstanceUID"])
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def _value(item: dict[str, Any], tag: str) -> Any:
    return (item.get(tag, {}).get("Value") or [None])[0]


def _sops(items: list[dict[str, Any]]) -> set[str]:
    return {_value(item, "00080018") for item in items}


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
        assert _value(study, "00201208") == len(images)
        assert _value(study, "00201206") == len(series)
        assert sorted(study["00080061"]["Value"]) == modalities
        found = viewer.search_for_series(mine.study)
        assert {_value(item, "0020000E") for item in found} == series
        assert sum(_value(item, "00201209") for item in found) == len(images)
        sops = {image.sop for image in images}
        assert _sops(viewer.search_for_instances(mine.study)) == sops
        assert _sops(viewer.retrieve_study_metadata(mine.study)) == sops
        assert {dataset.SOPInstanceUID for dataset in viewer.retrieve_study(mine.study)} == sops
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
        assert _value(item, "00100020") == "THIEF"
    assert bob.search_for_studies(search_filters={"PatientID": "VICTIM"}) == []
    (study,) = bob.search_for_studies(search_filters={"StudyInstanceUID": victim.study})
    assert _value(study, "00201208") == 1
    assert [dataset.SOPInstanceUID for dataset in bob.retrieve_study(victim.study)] == [thief.sop]
    both = ward.viewer("olga", "images:read exams:all").search_for_studies(
        search_filters={"StudyInstanceUID": victim.study}
    )
    assert {_value(item, "00100020") for item in both} == {"VICTIM", "THIEF"}


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
        assert [_value(item, "0020000D") == victim.study for item in found] == [False], (level, matched)


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
    counts = {_value(item, "00100020"): _value(item, "00201208") for item in studies}
    assert counts.keys() == {"FIRST", "SECOND"}
    assert counts["FIRST"] + counts["SECOND"] >= 3
    series = alice.search_for_series(first.study)
    assert {_value(item, "00100020") for item in series} == {"FIRST", "SECOND"}
    assert len(alice.search_for_instances(first.study)) == 3


def test_a_taken_sop_uid_is_told_and_not_guessed(ward: Ward) -> None:
    """Orthanc's plugin finds by UID: of two images with one, neither's metadata is given; the file is, by its id."""
    image = ward.store("alice", PatientID="OWNER")
    copy = _with(image.content, PatientID="COPY")
    copied = upload(ward.running.client("bob"), copy).json()["data"]
    registered(ward.running.client("bob"), copied["ID"], "refused")
    alice = ward.http("alice")
    answer = alice.get(f"{image.path}/metadata")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/ambiguous-uid")
    assert image.sop in answer.json()["message"]
    (dataset,) = [ward.viewer("alice").retrieve_instance(*image.uids)]
    assert dataset.PatientID == "OWNER"
    assert alice.get(f"{image.path}/rendered").status_code == 200


def test_pages_are_full_and_say_that_there_is_more(ward: Ward, running: Running) -> None:
    who = given.name("user")
    exam = given.name()
    running.open_exam(exam, f"user:{who}")
    stored = [ward.stored(who, exam, dicom_files.fresh_study("CT_small.dcm")) for _ in range(5)]
    client = ward.http(who)
    seen = []
    for offset in (0, 2, 4):
        answer = client.get("/dicom-web/studies", params={"limit": 2, "offset": offset})
        seen += [_value(item, "0020000D") for item in answer.json()]
        assert ("Additional results can be requested" in answer.headers.get("warning", "")) == (offset < 4)
    assert sorted(seen) == sorted(image.study for image in stored), "each once"
    assert client.get("/dicom-web/studies", params={"limit": 0}).json() == []
    fuzzy = client.get("/dicom-web/studies", params={"fuzzymatching": "true"})
    assert "fuzzymatching parameter is not supported" in fuzzy.headers["warning"]
    all_of_them = ward.http("olga", "images:read exams:all").get("/dicom-web/studies", params={"limit": 3})
    assert len(all_of_them.json()) == 3
    assert "warning" in all_of_them.headers


def test_attributes_are_matched_and_told_as_asked(ward: Ward) -> None:
    name = given.name("Match")
    image = ward.store("alice", PatientID=name, StudyDescription="A description")
    client = ward.http("alice")
    asked = {"PatientID": name, "includefield": "StudyDescription,00081030"}
    (study,) = client.get("/dicom-web/studies", params=asked).json()
    assert _value(study, "00081030") == "A description"
    assert _value(study, "00081190") == f"{ward.running.env['EXAMFLOW_URL']}/dicom-web/studies/{image.study}"
    by_api = client.get("/api/dicom-web/studies", params={"00100020": name}).json()
    assert _value(by_api[0], "00081190").startswith(ward.running.env["EXAMFLOW_URL"] + "/api/dicom-web/")
    for modality, there in (("US", 0), ("CT", 1), ("MR,CT", 1), ("*", 1)):
        found = client.get("/dicom-web/studies", params={"PatientID": name, "ModalitiesInStudy": modality}).json()
        assert len(found) == there, modality
    assert client.get("/dicom-web/studies", params={"PatientID": name, "StudyInstanceUID": ""}).json()
    (instance,) = client.get("/dicom-web/instances", params={"PatientID": name}).json()
    assert _value(instance, "00080018") == image.sop
    for wrong in (
        {"Patient ID": "x"},
        {"includefield": "a/b"},
        {"SOPClassUID": "1.2"},
        {"ImageComments": "*"},
        {"limit": "-1"},
        {"PatientID": "x" * 5000},
    ):
        assert client.get("/dicom-web/studies", params=wrong).status_code == 400, wrong


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


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm"])
def test_files_come_as_they_are_stored_or_decoded(ward: Ward, name: str) -> None:
    image = ward.store("alice", name)
    client = ward.http("alice")
    alone = client.get(image.path, headers={"Accept": "application/dicom"})
    assert alone.content == image.content
    for syntax in ("", "; transfer-syntax=*"):
        answer = client.get(image.path, headers={"Accept": f'multipart/related; type="application/dicom"{syntax}'})
        assert image.content in answer.content
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'
    decoded = client.get(image.path, headers={"Accept": accept})
    (dataset,) = _datasets(decoded)
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    original = dcmread(io.BytesIO(image.content))
    assert dataset.PixelData.rstrip(b"\0") == original.pixel_array.tobytes().rstrip(b"\0")


def test_what_would_end_orthanc_does_not_reach_it(ward: Ward) -> None:
    """Encoding JPEG-LS did, and decoding JPEG 2000 for DICOMweb (1.10.1)."""
    compressed = ward.store("alice", "MR_small_jp2klossless.dcm")
    refused = ward.http("alice").get(
        compressed.path, headers={"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'}
    )
    assert (refused.status_code, refused.json()["message"].count(EXPLICIT)) == (406, 0)
    (stored,) = ward.viewer("alice").retrieve_instance_frames(*compressed.uids, [1])
    assert stored in compressed.content
    image = ward.store("alice")
    client = ward.http("alice")
    for path, kind in ((image.path, "application/dicom"), (f"{image.path}/frames/1", "application/octet-stream")):
        answer = client.get(path, headers={"Accept": f'multipart/related; type="{kind}"; transfer-syntax={JPEG_LS}'})
        assert (answer.status_code, answer.json()["type"]) == (406, "/problems/not-acceptable")
    for accept in ("text/html", ";"):
        assert client.get(image.path, headers={"Accept": accept}).status_code == 406, accept
    assert client.get(image.path).status_code == 200


def test_frames_are_pixels_or_as_they_are_stored(ward: Ward) -> None:
    image = ward.store("alice", "SC_rgb_rle_2frame.dcm")
    original = dcmread(io.BytesIO(image.content))
    pixels = [frame.tobytes() for frame in original.pixel_array]
    viewer = ward.viewer("alice")
    assert viewer.retrieve_instance_frames(*image.uids, [1, 2]) == pixels
    assert viewer.retrieve_instance_frames(*image.uids, [2]) == pixels[1:]
    client = ward.http("alice")
    any_syntax = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    stored = client.get(f"{image.path}/frames/1,2", headers={"Accept": any_syntax})
    assert "image/dicom-rle" in stored.headers["content-type"]
    assert stored.content.count(b"transfer-syntax=1.2.840.10008.1.2.5") == 2
    assert client.get(f"{image.path}/frames/3").json()["type"] == "/problems/frame-unknown"
    assert client.get(f"{image.path}/frames/0").status_code == 400
    assert client.get(f"{image.path}/frames/{','.join(['1'] * 101)}").status_code == 400
    report = ward.store("alice", "reportsi.dcm")
    assert client.get(f"{report.path}/frames/1").json()["type"] == "/problems/no-picture"


def test_bulk_data_is_where_metadata_says(ward: Ward) -> None:
    image = ward.store("alice", "CT_small.dcm")
    viewer = ward.viewer("alice")
    found = viewer.retrieve_instance_metadata(*image.uids)
    original = dcmread(io.BytesIO(image.content))
    for tag in ("7FE00010", "00431028"):
        uri = found[tag]["BulkDataURI"]
        assert uri.startswith(f"{_without_port(ward)}{image.path}/bulk/"), "the client says a host without its port"
        here = ward.running.env["EXAMFLOW_URL"] + uri.removeprefix(_without_port(ward))
        assert viewer.retrieve_bulkdata(here) == [original[tag].value]
    nested = ward.store("alice", "examples_overlay.dcm")
    uri = viewer.retrieve_instance_metadata(*nested.uids)["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
    assert uri.endswith("/bulk/00880200.1.7fe00010")
    icon = dcmread(io.BytesIO(nested.content)).IconImageSequence[0]
    assert viewer.retrieve_bulkdata(ward.running.env["EXAMFLOW_URL"] + nested.path + "/bulk/00880200.1.7fe00010") == [
        icon.PixelData
    ]
    assert ward.http("alice").get(f"{image.path}/bulk/00991010").status_code == 409
    assert ward.http("bob").get(f"{image.path}/bulk/7fe00010").status_code == 404


def _without_port(ward: Ward) -> str:
    return ward.running.env["EXAMFLOW_URL"].rpartition(":")[0]


def test_pictures_are_those_of_the_preview(ward: Ward) -> None:
    image = ward.store("alice", "SC_rgb_rle_2frame.dcm")
    client = ward.http("alice")
    preview = client.get(f"/dicom/instances/{image.orthanc_id}/preview")
    rendered = client.get(f"{image.path}/rendered")
    assert rendered.content == preview.content
    assert rendered.headers["etag"] == preview.headers["etag"]
    again = client.get(f"{image.path}/rendered", headers={"If-None-Match": preview.headers["etag"]})
    assert again.status_code == 304
    second = client.get(f"/dicom/instances/{image.orthanc_id}/preview", params={"frame": 2, "quality": 70})
    assert client.get(f"{image.path}/frames/2/rendered", params={"quality": 70}).content == second.content
    small = client.get(f"{image.path}/rendered", params={"viewport": "40,30"}, headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(small.content)) as shown:
        assert (shown.format, max(shown.size) <= 40) == ("PNG", True)
    for path in (f"/studies/{image.study}", f"/studies/{image.study}/series/{image.series}"):
        thumbnail = client.get(f"/dicom-web{path}/thumbnail")
        assert thumbnail.content == client.get(f"{image.path}/thumbnail").content
    for wrong in ({"annotation": "patient"}, {"viewport": "9000,1"}, {"window": "1"}, {"iccprofile": "yes"}):
        assert client.get(f"{image.path}/rendered", params=wrong).status_code == 400, wrong
    assert client.get(f"{image.path}/rendered", params={"window": "100,50,linear"}).status_code == 200


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


def _datasets(answer: httpx.Response) -> list[Dataset]:
    """The files in a multipart answer."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = answer.content.split(b"\r\n--" + boundary)[1:-1]
    return [dcmread(io.BytesIO(part.partition(b"\r\n\r\n")[2])) for part in parts]


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
