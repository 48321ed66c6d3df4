"""The JSON of dead letters, and of what would become of an event."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.registration_service.ops.choice import Batch, Choice
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.listing import Listing, Whole
from services.registration_service.ops.outcomes import Outcome, Result
from services.registration_service.ops.replay import Done
from shared.errors import FieldError, InvalidInput
from shared.texts import LINE
from shared.timestamps import Timestamp

LARGEST_BATCH = 2000
MOST_IDS = 50_000
LetterId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}(-[0-9]{1,6})?$", examples=["9da6d3b383df99e1"])]
Cause = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["454cc7297560b396"])]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=LINE)]


class DeadLetter(BaseModel):
    """One dead letter. `queue` is empty where its work queue is not known: it can only be dropped then."""

    id: str
    queue: str
    reason: str
    cause: str
    attempt: int
    first: Timestamp | None
    last: Timestamp | None
    publisher: str | None
    type: str | None
    subject: str | None
    messageId: str | None
    correlationId: str | None
    size: int

    @classmethod
    def of(cls, letter: Letter) -> "DeadLetter":
        """The letter as JSON shows it."""
        return cls(**_fields(letter))


class WholeDeadLetter(DeadLetter):
    """One dead letter with its headers and its event; what may name a patient is `***`, or a number of fields."""

    headers: dict[str, Any]
    event: Any

    @classmethod
    def whole(cls, found: Whole) -> "WholeDeadLetter":
        """The letter as JSON shows it."""
        return cls(**_fields(found.letter), headers=found.headers, event=found.event)


class DeadLetterGroup(BaseModel):
    """The letters of one cause."""

    cause: str
    queue: str
    reason: str
    count: int
    first: Timestamp | None
    last: Timestamp | None


class DeadLetterList(BaseModel):
    """All dead letters, or those of one cause: their number, their causes, and the newest one by one.

    `complete` is false where there was no time to look at all of them.
    """

    total: int
    complete: bool
    groups: list[DeadLetterGroup]
    items: list[DeadLetter]

    @classmethod
    def of(cls, listing: Listing) -> "DeadLetterList":
        """The list as JSON shows it, the largest group first."""
        groups = sorted(listing.groups.items(), key=lambda group: -group[1].count)
        return cls(
            total=listing.total,
            complete=listing.complete,
            groups=[DeadLetterGroup(cause=cause, **vars(group)) for cause, group in groups],
            items=[DeadLetter.of(letter) for letter in listing.items],
        )


class Chosen(BaseModel):
    """Which letters: exactly one of `ids`, `cause` and `all`. The first `limit` found of them are for this request."""

    model_config = ConfigDict(extra="ignore")

    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MOST_IDS)] | None = None
    cause: Cause | None = None
    all: Literal[True] | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_BATCH)] = 100

    def choice(self) -> Choice:
        """The same, once it is clear. Raises InvalidInput."""
        if sum(given is not None for given in (self.ids, self.cause, self.all)) != 1:
            problem = "give exactly one of ids, cause and all", "donnez exactement l'un de ids, cause et all"
            raise InvalidInput([FieldError("body", *problem)])
        return Choice(self.limit, frozenset(self.ids) if self.ids else None, self.cause)


class ToReplay(Chosen):
    """Letters to send again, or, with `dryRun`, to be told what would come of it."""

    dryRun: bool = False


class ToDrop(Chosen):
    """Letters to take out of the queue for good, and why."""

    reason: Why


class Handled(BaseModel):
    """What was done, by id. `refused`: why it could not be. `unknown`: not there, or no more.

    `more`: others of the letters meant may be there, for another request.
    """

    done: list[str]
    refused: dict[str, str]
    unknown: list[str]
    more: bool

    @classmethod
    def of(cls, done: Done) -> "Handled":
        """The same as JSON shows it."""
        return cls(done=done.done, refused=done.refused, unknown=done.batch.unknown, more=done.batch.more)


class Foreseen(BaseModel):
    """What would become of an event, and why. `field`: the one to correct. `publisher`: as whom it was tried."""

    outcome: Result
    code: str
    reason: str
    field: str | None
    type: str | None
    publisher: str | None


class OutcomeCount(BaseModel):
    """Letters with one outcome for one reason."""

    outcome: Result
    code: str
    reason: str
    count: int


class DryRun(BaseModel):
    """What would become of the letters in `tried`; `unknown` and `more` as when it is done."""

    dryRun: Literal[True] = True
    tried: list[str]
    outcomes: list[OutcomeCount]
    unknown: list[str]
    more: bool

    @classmethod
    def of(cls, batch: Batch, outcomes: Mapping[str, Outcome]) -> "DryRun":
        """Equal outcomes together, the most frequent first."""
        counts = Counter((outcome.result, outcome.code, outcome.reason) for outcome in outcomes.values())
        return cls(
            tried=list(outcomes),
            outcomes=[OutcomeCount(outcome=o, code=c, reason=r, count=n) for (o, c, r), n in counts.most_common()],
            unknown=batch.unknown,
            more=batch.more or len(outcomes) < len(batch.held),
        )


def _fields(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "cause": letter.cause,
        "attempt": letter.attempt,
        "first": letter.first,
        "last": letter.last,
        "publisher": letter.publisher,
        "type": letter.type,
        "subject": letter.subject,
        "messageId": letter.message_id,
        "correlationId": letter.correlation_id,
        "size": letter.size,
    }
