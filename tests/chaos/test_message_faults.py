"""Messages that nobody can use among good ones: each is one dead letter, and holds up no other."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.chaos import messages
from tests.chaos.balance import Allowed
from tests.chaos.images import Image
from tests.chaos.lab import Lab
from tests.chaos.messages import Letter, Outgoing
from tests.chaos.sessions import trigger
from tests.running import eventually

QUEUE = "registration.dicom-stored"
HUGE = 4 * 1024 * 1024  # the broker takes 16 MiB


def _bad(event: dict[str, Any]) -> Iterator[tuple[str, Outgoing]]:
    """One of each kind, made from an event that was good, and how its reason must begin."""

    def body(**changed: Any) -> bytes:
        return json.dumps(event | changed).encode()

    yield "body: Invalid JSON: EOF", Outgoing(body()[:-20])
    yield "data.size: ", Outgoing(body(data=event["data"] | {"size": "many"}))
    yield "contentType: must be ", Outgoing(body(), properties={"content_type": "text/plain"})
    yield "type: is not taken from this queue", Outgoing(body(type="image.exploded"))
    yield "body: larger than ", Outgoing(body(padding="x" * HUGE))


@pytest.mark.row(
    "bad JSON, wrong schema, wrong content type, unknown type, huge message, one that always fails",
    "one dead letter each with its reason, the others flow",
)
def test_messages_that_cannot_be_used(lab: Lab) -> None:
    exam, of_each = lab.exam(), lab.scale.few // 10
    lab.send(lab.images(of_each, exam=exam))
    bad = [kind for event in messages.told(lab)[:of_each] for kind in _bad(event)]
    [poison], good = lab.images(1, exam=exam), lab.images(exam=exam)
    with trigger(lab, "images_medicales", "RAISE EXCEPTION 'a defect'", f"NEW.\"sopInstanceUID\" = '{poison.sop_uid}'"):
        lab.send([poison])
        with lab.sending(good) as clients:
            clients.have_ended(1 / 4)
            ids = messages.publish(lab, "upload", [message for _, message in bad])
        eventually(lambda: lab.registered() == of_each + len(good), lab.scale.drain_seconds, "the good ones")
        reasons = dict(zip(ids, (reason for reason, _ in bad), strict=True))
        first = _first_message(lab, poison)
        patience = 3 * sum(lab.scale.retry_seconds)
        eventually(lambda: _letters(lab).keys() >= {first, *reasons}, patience, "all dead letters")
        found = lab.balance(Allowed(dead=True))
    letters = _letters(lab)
    assert letters.keys() == {first, *reasons}
    _tell_why(letters, reasons)
    _was_tried_again(lab, letters[first])
    assert found.registered == found.sent - {poison.orthanc_id}
    entry = lab.tables.ledger()[poison.orthanc_id]
    assert (entry.state, entry.code) == ("dead", "dead-letter")


def _letters(lab: Lab) -> dict[str, Letter]:
    """By their message ids, which must differ."""
    found = messages.letters(lab)
    letters = {letter.message_id: letter for letter in found}
    assert len(letters) == len(found), "two dead letters of one message"
    return letters


def _first_message(lab: Lab, image: Image) -> str:
    """The id of the first event about it, which is its message's too."""
    about = [event for event in messages.told(lab) if event["data"].get("orthancInstanceId") == image.orthanc_id]
    return str(about[0]["id"])


def _tell_why(letters: Mapping[str, Letter], reasons: Mapping[str, str]) -> None:
    prints: dict[str, set[str]] = {}
    for message_id, reason in reasons.items():
        letter = letters[message_id]
        assert str(letter.headers["x-reason"]).startswith(reason)
        assert (letter.headers["x-queue"], letter.headers["x-publisher"]) == (QUEUE, "upload")
        assert letter.headers["x-attempt"] == 1
        assert (letter.size > HUGE) == ("larger" in reason)
        prints.setdefault(reason, set()).add(letter.headers["x-fingerprint"])
    assert all(len(same) == 1 for same in prints.values()), "one cause, and several fingerprints"
    assert len(set.union(*prints.values())) == len(prints), "one fingerprint for several causes"


def _was_tried_again(lab: Lab, letter: Letter) -> None:
    pauses = lab.scale.retry_seconds
    assert letter.headers["x-attempt"] == 1 + len(pauses)
    assert (letter.headers["x-queue"], letter.headers["x-publisher"]) == (QUEUE, "upload")
    assert letter.headers["x-reason"]
    first, last = (datetime.fromisoformat(letter.headers[name]) for name in ("x-first", "x-last"))
    assert (last - first).total_seconds() >= sum(pauses)
