"""The audit chain: whatever is done to it afterwards, the first wrong place is named."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.audit_chain import (
    GENESIS,
    PRUNED_ACTION,
    Anchor,
    Link,
    Place,
    Pruning,
    Verification,
    Wrong,
    chained,
    pruned_subject,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def record(number: int, **more: str) -> dict[str, str]:
    return {"recordId": f"r{number}", "actor": "alice", "action": "image.view", "outcome": "done"} | more


def chain(records: Sequence[dict[str, str]], begin: Place | None = None) -> list[Link]:
    place, links = begin or Place(0, GENESIS), []
    for one in records:
        seq = place.seq + 1
        place = Place(seq, chained(place.hash, seq, one))
        links.append(Link(place, one))
    return links


def verdict(links: Sequence[Link], anchors: Sequence[Anchor] = (), pruning: Pruning | None = None) -> Wrong | None:
    verification = Verification(anchors, pruning)
    for link in links:
        verification.read(link)
    return verification.finish()


TEN = chain([record(n) for n in range(1, 11)])


def anchored(link: Link, age: timedelta = timedelta()) -> Anchor:
    return Anchor(link.place, NOW - age)


def test_a_link_is_the_sha_256_of_the_hash_before_and_the_canonical_record() -> None:
    # Computed by hand: printf '%s%s' "$(printf '0%.0s' $(seq 64))" '{"actor":"é","seq":1}' | sha256sum
    assert chained(GENESIS, 1, {"actor": "é", "reason": None}) == (
        "c6ba502282a34d0c9d78b73ddd15501e3720b4a3564597c783d6c2f8237dc0a3"
    )


def test_what_is_as_it_was_written_is_sound() -> None:
    assert verdict(TEN) is None
    assert verdict(TEN, [anchored(TEN[3]), anchored(TEN[9])]) is None
    assert verdict([]) is None


@pytest.mark.parametrize("at", [0, 4, 9])
def test_an_altered_record_is_named(at: int) -> None:
    links = [*TEN]
    links[at] = replace(TEN[at], record={**record(at + 1), "actor": "bob"})
    assert verdict(links) == Wrong(at + 1, "was altered, or swapped with another")


def test_a_field_that_is_added_or_taken_is_an_alteration() -> None:
    for other in ({**record(5), "reason": "x"}, {"recordId": "r5"}):
        assert verdict([*TEN[:4], replace(TEN[4], record=other), *TEN[5:]]) == Wrong(
            5, "was altered, or swapped with another"
        )


def test_swapped_records_are_named() -> None:
    links = [*TEN]
    links[2], links[6] = replace(TEN[2], record=TEN[6].record), replace(TEN[6], record=TEN[2].record)
    assert verdict(links) == Wrong(3, "was altered, or swapped with another")


def test_a_missing_link_is_named() -> None:
    assert verdict([*TEN[:4], *TEN[5:]]) == Wrong(5, "is missing")
    assert verdict(TEN[1:]) == Wrong(1, "is missing")


def test_a_record_without_its_row_is_named() -> None:
    wrong = verdict([*TEN[:4], replace(TEN[4], record=None), *TEN[5:]])
    assert wrong is not None
    assert (wrong.seq, wrong.what[:10]) == (5, "is missing")


def test_what_is_cut_off_at_the_end_is_found_by_an_anchor_alone() -> None:
    assert verdict(TEN[:7]) is None
    wrong = verdict(TEN[:7], [anchored(TEN[2]), anchored(TEN[8])])
    assert wrong is not None
    assert (wrong.seq, wrong.what[:10]) == (8, "is missing")


def test_who_computes_all_later_hashes_anew_is_found_by_an_anchor() -> None:
    forged = chain([record(n, actor="bob" if n == 6 else "alice") for n in range(1, 11)])
    assert verdict(forged) is None
    wrong = verdict(forged, [anchored(TEN[3]), anchored(TEN[7])])
    assert wrong is not None
    assert wrong.seq == 5
    assert "up to 8, was rewritten since" in wrong.what


def test_anchors_that_contradict_each_other_are_wrong() -> None:
    other = Anchor(Place(4, "f" * 64), NOW)
    assert verdict(TEN, [anchored(TEN[3]), other]) == Wrong(4, "has two anchors that contradict each other")


def test_how_far_anchors_vouch() -> None:
    verification = Verification([anchored(TEN[3]), anchored(TEN[6])], None)
    for link in TEN:
        verification.read(link)
    assert (verification.finish(), verification.anchored, verification.head.seq) == (None, 7, 10)


def pruned(to: Link, *, told: bool = True) -> tuple[list[Link], Pruning]:
    """The chain after its first places were removed, with or without the record that tells of it."""
    pruning = Pruning(to.place, NOW, 365)
    left = TEN[to.place.seq :]
    subject = pruned_subject(to.place) if told else "3:" + "0" * 64
    return [*left, *chain([record(11, action=PRUNED_ACTION, subject=subject)], TEN[-1].place)], pruning


def test_a_chain_without_its_oldest_places_is_sound() -> None:
    links, pruning = pruned(TEN[2])
    assert verdict(links, [], pruning) is None
    assert verdict(links, [anchored(TEN[1], timedelta(days=400)), anchored(TEN[5])], pruning) is None


def test_a_removal_of_which_the_trail_does_not_tell_is_named() -> None:
    links, pruning = pruned(TEN[2], told=False)
    wrong = verdict(links, [], pruning)
    assert wrong is not None
    assert wrong.seq == 3


def test_a_removal_of_what_was_not_old_enough_is_named() -> None:
    links, pruning = pruned(TEN[2])
    wrong = verdict(links, [anchored(TEN[1], timedelta(days=30))], pruning)
    assert wrong == Wrong(2, "was removed before it was 365 days old")


def test_a_chain_that_begins_elsewhere_than_its_pruning_says_is_named() -> None:
    links, pruning = pruned(TEN[2])
    assert verdict(links[1:], [], pruning) == Wrong(4, "is missing")
