"""How each route of the table is asked, about which thing. One that needs no more than its path is not named here."""

from collections.abc import Callable
from typing import Any

from tests.dicom_files import fresh_uid
from tests.rights.reading import Row
from tests.rights.signing import SIGNED, parts
from tests.rights.things import Thing, Things, form, picture

Request = dict[str, Any]
_NO_LETTER = {"ids": ["0" * 16], "limit": 1}
_WHY = {"reason": "the table of rights asks"}
_STATIC = "swagger-ui.css"


def thing(row: Row, things: Things, *, succeeds: bool) -> Thing:
    """What the row is about. What a success would use up is made anew for each."""
    if row.about == "claimed":
        return things.waiting_image() if succeeds else things.waiting
    if row.about in ("waiting", "unregistered"):
        return things.waiting
    return things.registered if row.about in ("registered", "elsewhere", *SIGNED) else things.unknown


def path(row: Row, about: Thing, things: Things) -> str:
    """The row's path with the thing's names in it."""
    exam = things.exam_of("his") if row.about == "nobodys" else about.exam
    names = {
        "orthancInstanceId": about.orthanc_id,
        "sopInstanceUID": about.sop,
        "seriesInstanceUID": about.series,
        "studyInstanceUID": about.study,
        "frames": "1",
        "frame": "1",
        "attribute": "7fe00010",
        "imageID": about.image_id,
        "examenID": exam,
        "queue": "no.such-queue",
        "path": _STATIC,
        "id": "0" * 16,
    }
    if "{signature}" in row.path:
        names |= parts(row, about, things)
    return row.path.format(**names)


def request(row: Row, about: Thing, role: str, things: Things) -> Request:
    """What is sent: JSON or a form."""
    make = _BODIES.get(f"{row.method} {row.path}")
    return make(row, about, role, things) if make else {}


def _upload(row: Row, _about: Thing, _role: str, things: Things) -> Request:
    """For an exam that nobody opened: what comes into one a moment later would be taken for a refusal's trace."""
    return form(picture(), **({"examenID": things.unknown.exam} if row.about == "for-exam" else {}))


def _register(row: Row, about: Thing, role: str, things: Things) -> Request:
    """Under the exam that the image is in; or, for what is another's, under one of the role's own."""
    if row.about == "registered":
        return {"json": things.registered.registration(about.exam)}
    own = things.exam_of(role)
    if row.about == "elsewhere":
        return {"json": about.registration(own, studyInstanceUID=fresh_uid())}
    return {"json": about.registration(own)}


def _wado_uri(_row: Row, about: Thing, _role: str, _things: Things) -> Request:
    uids = {"studyUID": about.study, "seriesUID": about.series, "objectUID": about.sop}
    return {"params": {"requestType": "WADO", "contentType": "application/dicom", **uids}}


def _of_study(_row: Row, about: Thing, _role: str, _things: Things) -> Request:
    return {"params": {"StudyInstanceUID": about.study}}


def _json(**body: Any) -> Callable[..., Request]:
    return lambda *_: {"json": body}


_BODIES: dict[str, Callable[[Row, Thing, str, Things], Request]] = {
    "POST /dicom/upload": _upload,
    "POST /examens-medicaux/images": _register,
    "PUT /examens-medicaux/images/{imageID}": lambda _row, _about, _role, things: {"json": {"examenID": things.exam}},
    "PUT /examens-medicaux/{examenID}": _json(principals=["user:his"]),
    "POST /ops/dead-letters/replay": _json(**_NO_LETTER),
    "POST /ops/dead-letters/drop": _json(**_NO_LETTER, **_WHY),
    "GET /dicom-web/studies": _of_study,
    "GET /dicom-web/series": _of_study,
    "GET /dicom-web/instances": _of_study,
    "GET /dicom/wado": _wado_uri,
    "HEAD /dicom/wado": _wado_uri,
    "POST /internal/visible": lambda _row, about, _role, _things: {
        "json": {"sub": "princ", "level": "instance", "study": about.study, "most": 10}
    },
    "POST /events/validate": _json(type="dicom.stored", source="/examflow/upload"),
    "POST /ops/waiting/{id}/assign": _json(examenID="EX-of-nobody", **_WHY),
    "POST /ops/images/{id}/move": _json(examenID="EX-of-nobody", **_WHY),
    "POST /ops/images/{id}/unlink": _json(**_WHY),
    "POST /ops/reconcile": _json(full=False, **_WHY),
    "PUT /ops/consumers/{queue}/pause": _json(**_WHY),
}
