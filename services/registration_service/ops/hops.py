"""The steps of an image's way, each told from what the ledger, the audit trail and Orthanc know."""

from collections.abc import Sequence
from typing import Any

from services.registration_service.ledger import State
from services.registration_service.models import AuditEvent, Image, LedgerEntry
from services.registration_service.ops.in_pacs import InPacs
from services.registration_service.ops.schemas import Hop
from shared.timestamps import to_wire

_FAILED = (State.REFUSED, State.DEAD, State.DELETED)


def received(entry: LedgerEntry) -> Hop:
    """Who brought it: the first one, and how many after."""
    origins = entry.origins or ([entry.origin] if entry.origin else [])
    if not origins:
        says = "who brought it is told by its event"
        return Hop(hop="received", state="done", at=entry.first_seen, says=says)
    more = f", and equal bytes from {len(origins) - 1} more" if len(origins) > 1 else ""
    return Hop(hop="received", state="done", at=entry.first_seen, says=_who(origins[0]) + more)


def stored(entry: LedgerEntry, pacs: InPacs) -> Hop:
    """Whether Orthanc has it now, and the same bytes as then."""
    if not pacs.answers:
        return Hop(hop="stored", state="unknown", at=None, says="Orthanc does not answer")
    found = pacs.found
    if found is None:
        return Hop(hop="stored", state="failed", at=None, says="not in Orthanc any more")
    says = f"in Orthanc, {found.size} bytes, MD5 {pacs.digest}"
    if entry.digest and pacs.digest and entry.digest != pacs.digest:
        says += f" (its event said {entry.digest}: the same image with another file header)"
    return Hop(hop="stored", state="done", at=found.received, says=says)


def event(entry: LedgerEntry) -> Hop:
    """Whether `dicom.stored` was consumed."""
    told = f"told {_times(entry.publishes)} by the reconciler" if entry.publishes else ""
    parked = "its context is parked in Orthanc" if entry.parked else ""
    if entry.event_at is not None or entry.attempts:
        says = "; ".join(filter(None, [f"dicom.stored consumed {_times(entry.attempts)}", told, parked]))
        return Hop(hop="event", state="done", at=entry.event_at, says=says)
    again = ""
    if entry.state == State.SEEN:
        again = f"told again at {to_wire(entry.publish_after)}" if entry.publish_after else "told within a minute"
    says = "; ".join(filter(None, ["dicom.stored was not consumed", told, again, parked]))
    return Hop(hop="event", state="failed" if entry.state == State.DEAD else "pending", at=None, says=says)


def decided(entry: LedgerEntry) -> Hop:
    """What was decided, and why."""
    if entry.state == State.SEEN:
        return Hop(hop="decided", state="pending", at=None, says="not decided yet")
    says = entry.state + (f" ({entry.code}): {entry.reason}" if entry.code else "")
    state = State(entry.state)
    how = "failed" if state in _FAILED else "pending" if state == State.WAITING else "done"
    return Hop.model_validate({"hop": "decided", "state": how, "at": entry.decided_at, "says": says})


def registered(entry: LedgerEntry, image: Image | None, acts: Sequence[AuditEvent]) -> Hop:
    """Its record, and when that was made."""
    if image is None:
        return Hop(hop="registered", state="pending", at=None, says="no image record")
    made = [act.recorded_at for act in acts if act.action == "image.register"]
    by = f", by {entry.registered_by}" if entry.registered_by else ""
    says = f"exam {image.exam_id}, imageID {image.image_id}{by}"
    return Hop(hop="registered", state="done", at=made[-1] if made else None, says=says)


def announced(entry: LedgerEntry, unsent: int) -> Hop:
    """Whether other systems were told."""
    if unsent:
        what = "1 announcement is" if unsent == 1 else f"{unsent} announcements are"
        return Hop(hop="announced", state="pending", at=None, says=f"{what} not sent yet")
    if entry.state in (State.SEEN, State.DEAD):
        return Hop(hop="announced", state="pending", at=None, says="there is nothing to announce yet")
    return Hop(hop="announced", state="done", at=None, says="all announcements were sent")


def _who(origin: dict[str, Any]) -> str:
    kind, actor, aet = origin.get("kind"), origin.get("actor"), origin.get("aet")
    if kind == "modality":
        return f"by C-STORE from {aet or 'an unnamed modality'}"
    if kind == "partner":
        return f"told by partner {actor or 'unknown'}"
    how = "by upload" if kind == "upload" else "by upload, recovered by the reconciler"
    return f"{how} from {actor or 'nobody known any more'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
