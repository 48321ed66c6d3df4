"""The set algebra of the lab: what became of each image, and which of them were lost. Sets hold Orthanc ids.

lost         promised (2xx), and yet one of: not in Orthanc, other bytes there, no record and nothing visible that says
             why, a record under another exam, a context that was forgotten
duplicated   two records for one image, or announced twice as new
unaccounted  in Orthanc without a decision of the ledger, whether promised or not; or ledger and records contradict
false        a record, a ledger row or an event about what is not in Orthanc
untold       a decision that was never announced
unaudited    promised, and the audit trail does not say who sent it
innocent     a dead letter, or a dead image, where the row made nothing that deserves it
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.clients import UPLOADER, Answer
from tests.chaos.facts import Entry, Facts, Message, Record, Stored

ANY = "any bytes"
VISIBLE = ("waiting", "refused", "dead")
Why = dict[str, str]


@dataclass(frozen=True)
class Allowed:
    """What a row expects that would be a loss elsewhere.

    `deleted`: images that the row itself took out of Orthanc: a ledger row that says so is the right outcome.
    `conflict`: a second exam was asked for; that the ledger names it as the conflict is the right outcome.
    `dead`: dead letters are what must come out; everywhere else each of them is an innocent's.
    """

    deleted: frozenset[str] = frozenset()
    conflict: bool = False
    dead: bool = False


NOTHING = Allowed()


@dataclass(frozen=True)
class Balance:
    """The outcome of a row."""

    sent: set[str]
    acknowledged: set[str]
    pending: set[str]
    stored: set[str]
    registered: set[str]
    waiting: dict[str, str | None]
    refused: set[str]
    dead: set[str]
    deleted: set[str]
    lost: Why
    duplicated: Why
    unaccounted: Why
    false: Why
    untold: Why
    unaudited: Why
    innocent: Why
    undone: dict[str, int]
    answers: dict[str, int]
    told: dict[str, int]  # how often `dicom.stored` said an image

    def must_hold(self) -> None:
        """Nothing was lost or doubled, everything is accounted for, and the system came to rest."""
        for name in ("lost", "duplicated", "unaccounted", "false", "untold", "unaudited", "innocent"):
            found: Why = getattr(self, name)
            assert not found, f"{len(found)} {name}: {dict(list(found.items())[:5])}"
        assert not self.undone, f"not done in time: {self.undone}"


def draw(facts: Facts, allowed: Allowed = NOTHING) -> Balance:
    """Draw the balance."""
    return _Drawing(facts, allowed).balance()


class _Drawing:
    def __init__(self, facts: Facts, allowed: Allowed) -> None:
        self._facts, self._allowed = facts, allowed
        self._records: dict[str, list[Record]] = {}
        for record in facts.records:
            self._records.setdefault(record.orthanc_id or record.sop_uid, []).append(record)
        self._by_sop = {record.sop_uid: record.orthanc_id or record.sop_uid for record in facts.records}
        self._digests: dict[str, set[str]] = {}
        for image in facts.sent:
            self._digests.setdefault(image.orthanc_id, set()).add(image.digest if image.bytes_kept else ANY)
        self._dead_letters = {
            m.orthanc_id or m.event_id or f"letter {number}": m.reason or ""
            for number, m in enumerate(facts.dead_letters)
        }

    def balance(self) -> Balance:
        facts, ledger = self._facts, self._facts.ledger
        promised = [answer for answer in facts.answers if answer.acknowledged]
        states = {state: {i for i, e in ledger.items() if e.state == state} for state in (*VISIBLE, "deleted")}
        dead = {i: ledger[i].reason or "" for i in states["dead"]} | self._dead_letters
        return Balance(
            sent={image.orthanc_id for image in facts.sent},
            acknowledged={answer.orthanc_id for answer in promised},
            pending={answer.orthanc_id for answer in promised if answer.event == "pending"},
            stored=set(facts.stored),
            registered=set(self._records),
            waiting={i: ledger[i].code for i in states["waiting"]},
            refused=states["refused"],
            dead=set(dead),
            deleted=states["deleted"],
            lost={answer.orthanc_id: why for answer in promised if (why := self._loss(answer))},
            duplicated=dict(self._doubles()),
            unaccounted={i: why for i in facts.stored if (why := self._unaccounted(i))},
            false=dict(self._false()),
            untold=self._untold(),
            unaudited={a.orthanc_id: "no record of its upload" for a in promised if self._is_unaudited(a)},
            innocent={} if self._allowed.dead else dead,
            undone=dict(facts.undone),
            told=dict(Counter(message.orthanc_id or "" for message in facts.told)),
            answers=dict(Counter(_said(answer) for answer in facts.answers)),
        )

    def _loss(self, answer: Answer) -> str | None:
        """Why a promise was broken."""
        orthanc_id, stored = answer.orthanc_id, self._facts.stored.get(answer.orthanc_id)
        entry, records = self._facts.ledger.get(orthanc_id), self._records.get(orthanc_id)
        if (orthanc_id, answer.sop_uid) != (answer.image.orthanc_id, answer.image.sop_uid):
            return "answered in the name of another image"
        if stored is None:
            listed = orthanc_id in self._allowed.deleted and entry and entry.state == "deleted"
            return None if listed else "not in Orthanc"
        if not self._is_as_sent(orthanc_id, stored):
            return "stored with other bytes than were sent"
        if entry and answer.image.exam and UPLOADER not in entry.uploaders and not self._is_kept_by_letter(answer):
            return "nobody knows who sent it"
        return self._misfiled(answer, records[0], entry) if records else self._invisible(answer, entry)

    def _is_unaudited(self, answer: Answer) -> bool:
        """A message that always fails has not come so far: then its dead letter knows who sent it.

        Where the ledger does not know it either, its event was lost behind the broker's confirm: it came from somebody.
        """
        entry = self._facts.ledger.get(answer.orthanc_id)
        actors = {UPLOADER} if entry is None or UPLOADER in entry.uploaders else {UPLOADER, "unknown"}
        audited = not self._facts.audited.isdisjoint((answer.sop_uid, actor) for actor in actors)
        return not audited and answer.orthanc_id not in self._dead_letters

    def _is_as_sent(self, orthanc_id: str, stored: Stored) -> bool:
        return bool(stored.digest) and not self._digests.get(orthanc_id, set()).isdisjoint({stored.digest, ANY})

    def _misfiled(self, answer: Answer, record: Record, entry: Entry | None) -> str | None:
        image = answer.image
        if record.sop_uid != image.sop_uid:
            return "its record has another SOP Instance UID"
        if image.exam in (None, record.exam):
            return "registered without its description" if image.exam and not record.description else None
        told = self._allowed.conflict and entry and entry.conflict_exam == image.exam
        return None if told else f"registered under {record.exam}, promised to {image.exam}"

    def _invisible(self, answer: Answer, entry: Entry | None) -> str | None:
        """No record: then the ledger or a dead letter must say why, and still know the exam."""
        exam = answer.image.exam
        if entry is None or entry.state not in VISIBLE:
            letter = self._dead_letters.get(answer.orthanc_id)
            return None if letter else f"no record, and {f'the state {entry.state}' if entry else 'no ledger row'}"
        if not (entry.code and entry.reason):
            return f"{entry.state} without a reason"
        told = self._allowed.conflict and entry.conflict_exam == exam
        if exam and entry.wanted_exam != exam and not told and not self._is_kept_by_letter(answer):
            return f"{entry.state}, and its exam was forgotten"
        if entry.state == "waiting" and self._is_open(entry):
            return f"waits ({entry.code}) for an exam that is open"
        return None

    def _is_kept_by_letter(self, answer: Answer) -> bool:
        """Whether its dead letter knows what was promised: a message that always fails never came to the ledger."""
        letters = [m.data for m in self._facts.dead_letters if m.orthanc_id == answer.orthanc_id]
        known = [(m.get("context", {}).get("examenID"), m.get("origin", {}).get("actor")) for m in letters]
        return (answer.image.exam, UPLOADER) in known

    def _is_open(self, entry: Entry) -> bool:
        exams = self._facts.exams
        if entry.code == "exam-unknown":
            return entry.wanted_exam in exams
        return entry.code == "accession-unknown" and entry.accession in exams.values()

    def _doubles(self) -> Iterator[tuple[str, str]]:
        by_sop = Counter(record.sop_uid for record in self._facts.records)
        for key, records in self._records.items():
            if (times := max(len(records), by_sop[records[0].sop_uid])) > 1:
                yield key, f"{times} records"
        # The same event sent twice is the outbox's good right; two events that say "new" are not.
        new = {(m.event_id, self._about(m)) for m in self._facts.announced if m.data.get("created")}
        for orthanc_id, times in Counter(orthanc_id for _, orthanc_id in new).items():
            if times > 1:
                yield orthanc_id, f"announced {times} times as new"

    def _unaccounted(self, orthanc_id: str) -> str | None:
        entry, has_record = self._facts.ledger.get(orthanc_id), orthanc_id in self._records
        if entry is None or entry.state == "seen":
            is_dead = orthanc_id in self._dead_letters
            return None if is_dead else "no ledger row" if entry is None else "seen, and not decided"
        if has_record != (entry.state == "registered"):
            return f"{'a' if has_record else 'no'} record, and the state {entry.state}"
        return "in Orthanc, and the state deleted" if entry.state == "deleted" else None

    def _false(self) -> Iterator[tuple[str, str]]:
        facts = self._facts
        for orthanc_id, stored in facts.stored.items():
            if not self._is_as_sent(orthanc_id, stored):
                yield orthanc_id, "half an instance" if orthanc_id in self._digests else "nobody sent it"
        gone = {i for i, entry in facts.ledger.items() if entry.state == "deleted"} | self._allowed.deleted
        for orthanc_id in facts.ledger.keys() - facts.stored.keys() - gone:
            yield orthanc_id, "a ledger row about what is not in Orthanc"
        for orthanc_id in {r.orthanc_id for r in facts.records if r.orthanc_id} - facts.stored.keys() - gone:
            yield orthanc_id, "a record about what is not in Orthanc"
        for orthanc_id in {m.orthanc_id for m in facts.told if m.orthanc_id} - facts.stored.keys() - gone:
            yield orthanc_id, "an event about what is not in Orthanc"

    def _about(self, message: Message) -> str:
        """The image of an announcement; a record that HTTP made before its file came had no Orthanc id yet."""
        sop_uid = str(message.data.get("sopInstanceUID"))
        return message.orthanc_id or self._by_sop.get(sop_uid, sop_uid)

    def _untold(self) -> Why:
        """What was decided, and never announced."""
        said = {(message.kind, message.orthanc_id) for message in self._facts.announced}
        said |= {("new", self._about(m)) for m in self._facts.announced if m.data.get("created")}
        wanted = [("new", orthanc_id) for orthanc_id in self._records]
        wanted += [(f"image.{e.state}", i) for i, e in self._facts.ledger.items() if e.state in ("waiting", "refused")]
        return {orthanc_id: f"no {kind} announced" for kind, orthanc_id in wanted if (kind, orthanc_id) not in said}


def _said(answer: Answer) -> str:
    """An answer, for counting."""
    if answer.acknowledged:
        return f"{answer.status} {answer.event}"
    return f"{answer.status} {answer.problem}" if answer.status else "no answer"
