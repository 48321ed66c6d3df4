"""What one role does with an image, and what becomes of it: the rows of outcomes.txt."""

from collections.abc import Callable, Iterator

from tests.dicom_files import fresh_uid
from tests.integration.given import name
from tests.rights.reading import Outcome
from tests.rights.roles import ROLES, WARD, Role
from tests.rights.things import Thing, Things, form, picture
from tests.running import eventually

# One who comes before, and is one of the principals too.
ROLES.setdefault("first", Role("first", groups=(WARD,)))


def walk(outcome: Outcome, things: Things) -> Iterator[str]:
    """What came out otherwise than the row says."""
    for role, expected in outcome.expected.items():
        if expected == "-":
            continue
        found = _HAPPENINGS[outcome.happening](things, role)
        if found != expected:
            yield f"{outcome}: by {role} it is {found}, not {expected}"


def _fate(things: Things, image: Thing) -> str:
    path = f"/dicom/instances/{image.orthanc_id}/registration"
    fate = things.ask("registration", "oversee", "GET", path).json()
    return str(fate["code"] if fate["state"] == "waiting" else fate["state"])


def _upload_named(things: Things, role: str) -> str:
    return _fate(things, things.upload(role, picture(), examenID=things.exam))


def _upload_numbered(things: Things, role: str) -> str:
    things.exam  # noqa: B018  # it must be open
    return _fate(things, things.upload(role, picture(AccessionNumber=things.accession)))


def _claim_by_sop(things: Things, role: str) -> str:
    image = things.waiting_image()
    body = image.registration(things.exam_of(role), orthancInstanceId=None)
    answer = things.ask("registration", role, "POST", "/examens-medicaux/images", json=body)
    if answer.status_code != 201:
        return str(answer.status_code)
    return "linked" if answer.json()["orthancInstanceId"] == image.orthanc_id else "bare"


def _fill_a_record_ahead(things: Things, role: str) -> str:
    content = picture()
    ahead = things.upload("first", content)  # to know its UIDs; the image itself is another, of the same study
    sop = fresh_uid(len(ahead.sop))
    body = ahead.registration(things.exam, sopInstanceUID=sop, orthancInstanceId=None)
    things.ask("registration", "princ", "POST", "/examens-medicaux/images", json=body).raise_for_status()
    return _fate(things, things.upload(role, content.replace(ahead.sop.encode(), sop.encode())))


def _describe(things: Things, role: str) -> str:
    image = things.upload("first", picture(), examenID=things.exam)
    things.upload(role, image.content, description="what it shows")
    listed = things.ask("registration", "oversee", "GET", f"/examens-medicaux/{things.exam}/images?limit=200").json()
    [record] = [one for one in listed["items"] if one["orthancInstanceId"] == image.orthanc_id]
    return "described" if record["description"] else "untouched"


def _name_another_exam(things: Things, role: str) -> str:
    image = things.upload("first", picture(), examenID=name())
    things.upload(role, image.content, examenID=things.exam)
    return _fate(things, image)


def _before_its_event(things: Things, role: str) -> str:
    """The uploader's image is stored, and nobody knows yet that it is the uploader's: its event is not consumed."""
    pause = "/ops/consumers/registration.dicom-stored/pause"
    exam = things.exam_of(role)
    things.ask("registration", "operator", "PUT", pause, json={"reason": "a test"}).raise_for_status()
    try:
        eventually(lambda: not _consumers(things), what="no consumer")
        stored = things.ask("upload", "uploader", "POST", "/dicom/upload", **form(picture())).json()["data"]
        uids = (stored["StudyInstanceUID"], stored["SeriesInstanceUID"], stored["SOPInstanceUID"])
        body = Thing("", stored["ID"], "", *uids).registration(exam)
        answer = things.ask("registration", role, "POST", "/examens-medicaux/images", json=body)
    finally:
        things.ask("registration", "operator", "DELETE", pause).raise_for_status()
    eventually(lambda: _consumers(things), what="a consumer")
    return {201: "registered", 503: "on-its-way"}.get(answer.status_code, str(answer.status_code))


def _consumers(things: Things) -> int:
    listed = things.ask("registration", "operator", "GET", "/ops/consumers").json()["items"]
    return int(next(one["consumers"] for one in listed if one["queue"] == "registration.dicom-stored") or 0)


_HAPPENINGS: dict[str, Callable[[Things, str], str]] = {
    "upload-named": _upload_named,
    "upload-numbered": _upload_numbered,
    "claim-by-sop": _claim_by_sop,
    "fill-a-record-ahead": _fill_a_record_ahead,
    "describe": _describe,
    "name-another-exam": _name_another_exam,
    "before-its-event": _before_its_event,
}
HAPPENINGS = frozenset(_HAPPENINGS)
