"""Signed URLs: the same for all in a window, ended by time and rights, and nothing in them can be altered."""

import re
import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.preview_service.errors import UrlExpired, UrlForged
from services.preview_service.negotiation import JPEG, PNG
from services.preview_service.settings import SignedSettings
from services.preview_service.signed import MAC_BYTES, Signer, is_for_rights
from services.preview_service.view import View
from shared.errors import InstanceUnknown

SECRET, OTHER = "0f1e2d3c4b5a69788796", "8796a5b4c3d2e1f00f1e"
ID = "2991c996-62ba403e-96d27bfe-33d472ee-f2b96e17"
VIEW = View(3, 85, 512, None, JPEG)
NOW = 1_000_000_000.0  # 100 s after a window began
VIEWS = st.builds(
    View,
    frame=st.integers(1, 1_000_000),
    quality=st.integers(1, 100),
    width=st.none() | st.integers(1, 2048),
    height=st.none() | st.integers(1, 2048),
    content_type=st.sampled_from([JPEG, PNG]),
)
IDS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=60)
EXAMS = st.text(min_size=1, max_size=36)


def signer(secret: str = SECRET, now: float = NOW, **more: Any) -> Signer:
    return Signer(SignedSettings.model_validate({"secret": secret, **more}), lambda: now)


def parts(url: str) -> tuple[str, str]:
    *_, signature, text = url.split("/")
    return signature, text


@given(IDS, VIEWS, EXAMS, st.integers(1, 2**62))
def test_what_was_signed_is_read(orthanc_id: str, view: View, exam: str, epoch: int) -> None:
    url, expires = signer().url(orthanc_id, view, exam, epoch)
    signed = signer().read(*parts(url))
    assert (signed.orthanc_id, signed.view, signed.expires) == (orthanc_id, view, expires)
    assert is_for_rights(signed, exam, epoch)
    assert re.fullmatch(r"/dicom/signed/[A-Za-z0-9_-]{22}/[A-Za-z0-9_.-]+\.(jpeg|png)", url)


@given(EXAMS, st.integers(1, 2**62), EXAMS | st.none(), st.integers(1, 2**62) | st.none())
def test_another_exam_or_epoch_ends_it(exam: str, epoch: int, exam_now: str | None, epoch_now: int | None) -> None:
    assume((exam, epoch) != (exam_now, epoch_now))
    assert not is_for_rights(signer().read(*parts(signer().url(ID, VIEW, exam, epoch)[0])), exam_now, epoch_now)


@given(st.data())
def test_no_character_can_be_another(data: st.DataObject) -> None:
    path = signer().url(ID, VIEW, "EX-1", 7)[0].removeprefix("/dicom/signed/")
    where = data.draw(st.integers(0, len(path) - 1))
    letter = data.draw(st.characters(exclude_characters=path[where] + "/", exclude_categories=["Cs"]))
    assume(path[where] != "/")
    changed = data.draw(st.sampled_from([path[:where] + letter + path[where + 1 :], path[:where] + path[where + 1 :]]))
    with pytest.raises(UrlForged):
        signer().read(*parts(changed))


@given(st.text(max_size=40), st.text(max_size=100))
def test_what_is_none_of_ours_is_refused(signature: str, text: str) -> None:
    with pytest.raises(UrlForged):
        signer().read(signature, text)


@pytest.mark.parametrize("field", range(8))
def test_no_field_can_be_that_of_another_url(field: int) -> None:
    one, other = signer(), signer(now=NOW + 300)
    signature, text = parts(one.url(ID, VIEW, "EX-1", 7)[0])
    strange = parts(other.url("another", View(4, 86, 513, 9, PNG), "EX-2", 8)[0])[1].split(".")
    mixed = text.split(".")
    mixed[field] = strange[field]
    assert ".".join(mixed) != text
    with pytest.raises(UrlForged):
        one.read(signature, ".".join(mixed))
    assert one.read(signature, text).orthanc_id == ID


def test_a_forged_one_is_told_what_an_unknown_instance_is() -> None:
    assert (UrlForged().sentence("en"), UrlForged().sentence("fr")) == (
        InstanceUnknown().sentence("en"),
        InstanceUnknown().sentence("fr"),
    )
    assert (UrlForged.status, UrlForged.code, UrlForged.title) == (404, InstanceUnknown.code, InstanceUnknown.title)


def test_the_same_for_all_in_a_window() -> None:
    asked = [signer(now=999_999_900 + second).url(ID, VIEW, "EX-1", 7) for second in (0, 0.5, 120, 299.9)]
    assert len(set(asked)) == 1
    assert signer(now=1_000_000_200).url(ID, VIEW, "EX-1", 7) not in asked
    assert asked[0][1] == 1_000_000_500


@given(st.floats(1e9, 4e9), st.integers(2, 3600))
def test_it_holds_for_one_to_two_windows(now: float, window: int) -> None:
    _, expires = signer(now=now, window_seconds=window).url(ID, VIEW, "EX-1", 7)
    assert window < expires - now <= 2 * window
    assert expires % window == 0


@pytest.mark.parametrize(
    ("before", "left"), [(500.0, 500), (30.9, 30), (1.0, 1), (0.99, None), (0, None), (-1e6, None)]
)
def test_it_ends_with_its_last_whole_second(before: float, left: int | None) -> None:
    url, expires = signer().url(ID, VIEW, "EX-1", 7)
    late = signer(now=expires - before)
    signed = late.read(*parts(url))
    if left is not None:
        assert late.seconds_left(signed) == left
        return
    with pytest.raises(UrlExpired) as refused:
        late.seconds_left(signed)
    assert refused.value.hides == (None, ID)


def test_while_the_secret_is_changed_the_first_signs_and_each_is_believed() -> None:
    old, both, new = signer(SECRET), signer(f"{OTHER}, {SECRET}"), signer(OTHER)
    of_old, of_both, of_new = (parts(one.url(ID, VIEW, "EX-1", 7)[0]) for one in (old, both, new))
    assert (of_both, of_both != of_old) == (of_new, True)
    for one, url in ((both, of_old), (both, of_new), (new, of_both)):
        assert is_for_rights(one.read(*url), "EX-1", 7)
    for one, url in ((old, of_new), (new, of_old)):
        with pytest.raises(UrlForged):
            one.read(*url)


def test_neither_exam_nor_epoch_nor_secret_stand_in_it() -> None:
    url, _ = signer().url(ID, VIEW, "EX-4711", 424242)
    assert not any(word in url for word in ("EX-4711", "424242", SECRET))
    assert SECRET not in repr(signer().read(*parts(url)))
    assert MAC_BYTES * 8 >= 128


@pytest.mark.parametrize("secret", [None, "", " , "])
def test_without_a_secret_nothing_is_signed_or_believed(secret: str | None) -> None:
    none = Signer(SignedSettings.model_validate({"secret": secret}))
    assert not none.signs
    with pytest.raises(UrlForged):
        none.read(*parts(signer().url(ID, VIEW, "EX-1", 7)[0]))


def test_a_public_address_stands_before_the_path() -> None:
    url, _ = signer(public_url="https://pictures.hospital.example/x").url(ID, VIEW, "EX-1", 7)
    assert url == "https://pictures.hospital.example/x" + signer().url(ID, VIEW, "EX-1", 7)[0]


@pytest.mark.parametrize("wrong", ["pictures.example", "ftp://a.example", "https://a.example/", "https://a b.example"])
def test_a_public_address_that_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="public_url"):
        SignedSettings.model_validate({"public_url": wrong})
