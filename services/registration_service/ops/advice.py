"""What is wrong with an image, and what an operator types next."""

from collections.abc import Sequence

from services.registration_service.ledger import State
from services.registration_service.matching import UNLINKED
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.schemas import Advice

_WAITING = {
    "exam-unknown": "the exam named is not open: it is registered when the HIS opens it; if another exam is right",
    "accession-unknown": "no exam has its accession number: it is registered when the HIS opens one; if one is known",
    "accession-ambiguous": "several exams have its accession number: the HIS corrects one of them, or you say which",
    "no-exam-named": "nobody said to which exam it belongs, and it has no accession number: say it",
    "not-a-principal": "who brought it may not write the exam: the HIS changes the exam's principals, or you decide",
    UNLINKED: "it was taken out of its exam, and waits for the right one",
}
_BY_STATE: dict[State, tuple[str, str | None]] = {
    State.SEEN: ("its event has not been consumed yet: have it told again", "examflow reconcile"),
    State.REFUSED: ("the sender corrects it and sends it again", None),
    State.DEAD: (
        "the message about it failed for good: find the cause, then replay it",
        "examflow dead-letters list",
    ),
    State.DELETED: ("it is registered again when it is stored again", None),
}


def advice_on(
    entry: LedgerEntry, image: Image | None, letters: Sequence[Letter], *, paused: str | None
) -> Advice | None:
    """None for an image that is where it should be. `paused` is the queue of its event, if that is paused."""
    if letters and entry.state in (State.DEAD, State.SEEN):
        says = "the message about it failed for good: mend the cause, then replay it"
        return Advice(says=says, command=f"examflow dead-letters replay {letters[0].id}")
    if entry.state == State.REGISTERED:
        return _on_conflict(entry, image)
    if entry.state == State.WAITING:
        says = _WAITING.get(entry.code or "", entry.reason or "")
        return Advice(says=says, command=f"examflow waiting assign {entry.orthanc_id} --exam EXAM --reason '...'")
    if entry.state == State.SEEN and paused:
        says = f"its event waits in {paused}, which is paused"
        return Advice(says=says, command=f"examflow consumers resume {paused}")
    if entry.state == State.REFUSED and entry.code == "sop_uid_in_use":
        says = "another image is registered under its SOP Instance UID; where that is the wrong one, unlink that one"
        return Advice(says=says, command=f"examflow images unlink {entry.sop_instance_uid} --reason '...'")
    says, command = _BY_STATE[State(entry.state)]
    return Advice(says=says, command=command)


def _on_conflict(entry: LedgerEntry, image: Image | None) -> Advice | None:
    wanted = entry.conflict_exam_id
    if image is None or wanted is None or wanted == image.exam_id:
        return None
    says = f"somebody asked for exam {wanted} as well; if that is the right one"
    return Advice(says=says, command=f"examflow images move {image.image_id} --exam {wanted} --reason '...'")
