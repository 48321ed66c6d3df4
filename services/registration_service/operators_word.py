"""What an operator said about one image. It stands in its row's `attributes`, so it outlasts every state.

**Assigned** to an exam: the image is registered there whoever brought it, at once or when the exam opens, and no later
event takes it to another one.

**Unlinked** from an exam: the image waits, and nothing that was known before links it again. Neither the exam it was
taken out of counts any more, however often the same upload, its event or its parked context comes back, nor its
accession number, which led to the wrong exam or may do so again. Three things link it anew: an operator assigns it,
somebody registers it by HTTP, or an event names another exam.
"""

from services.registration_service.models import LedgerEntry

_ASSIGNED_BY, _UNLINKED = "assignedBy", "unlinkedFrom"


def assign(entry: LedgerEntry, exam_id: str, operator: str) -> None:
    """The image belongs to this exam."""
    entry.wanted_exam_id = exam_id
    if entry.conflict_exam_id == exam_id:
        entry.conflict_exam_id = None
    entry.attributes = {**entry.attributes, _ASSIGNED_BY: operator}


def assigned_by(entry: LedgerEntry) -> str | None:
    """The operator who named the exam that the image is to have; None where somebody else did, or nobody."""
    operator: str | None = entry.attributes.get(_ASSIGNED_BY)
    return operator


def unlink(entry: LedgerEntry, exam_id: str) -> None:
    """The image does not belong to this exam."""
    entry.wanted_exam_id = None
    kept = {name: fact for name, fact in entry.attributes.items() if name != _ASSIGNED_BY}
    entry.attributes = {**kept, _UNLINKED: sorted({*unlinked_from(entry), exam_id})}


def unlinked_from(entry: LedgerEntry) -> list[str]:
    """The exams that the image was taken out of."""
    return list(entry.attributes.get(_UNLINKED, []))


def forget_wish(entry: LedgerEntry) -> None:
    """An event named the exam that the image was taken out of: that is not wanted again."""
    if entry.wanted_exam_id in unlinked_from(entry) and not assigned_by(entry):
        entry.wanted_exam_id = None
