"""Links that would reach inward if anything followed them: refused, even where an operator allowed them by mistake."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from services.registration_service.link import check_url
from services.registration_service.settings import Settings
from shared.errors import InvalidInput
from tests.unit.hostile_links import ALLOWED, HOSTILE, MISTAKES
from tests.unit.settings import DATABASE, SHARED

HOSTS = [ALLOWED, *MISTAKES]


@pytest.mark.parametrize("host", [host for host in MISTAKES if "/" not in host], ids=ascii)
@pytest.mark.parametrize("form", ["https://{}/", "https://{}", "https://{}:443/x", "HTTPS://{}/latest/meta-data/"])
def test_a_host_that_was_allowed_by_mistake(host: str, form: str) -> None:
    refused(form.format(host))


@pytest.mark.parametrize("host", MISTAKES, ids=ascii)
def test_such_a_host_refuses_the_start_with_a_sentence(host: str) -> None:
    with pytest.raises(ValidationError) as failed:
        settings_with(host)
    [error] = failed.value.errors()
    assert (error["loc"], error["type"]) == (("url_hosts", 0), "value_error")
    assert str(error["ctx"]["error"]).endswith(
        "is no host for links: give a name with a dot, such as viewer.hospital.example"
    )


@pytest.mark.parametrize(
    "host", ["viewer.hospital.test", "Viewer.Hospital.Test", "xn--hpital-xwa.fr", "a.b", "1.chu.fr"]
)
def test_a_host_that_is_one(host: str) -> None:
    assert settings_with(host).url_hosts == [host.lower()]


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_hostile_links_are_refused(url: str) -> None:
    refused(url)


# Pieces that such links are made of, in any order.
PIECES = [
    "https:",
    "http:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    "#",
    "?",
    "..",
    ".",
    "%2e",
    "%252e",
    "%5c",
    "%0a",
    "%00",
    "dicom",
]
PIECES += ["/dicom/", ALLOWED, "evil.test", "127.0.0.1", "localhost", "[::1]", "169.254.169.254", ":443", "\t", "\n"]
ANY = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
LIKELY = st.tuples(st.sampled_from(["/dicom/", f"https://{ALLOWED}", f"https://{ALLOWED}/"]), ANY).map("".join)


@given(st.one_of(ANY, LIKELY))
@example(f"https://{ALLOWED}/x")
@example("/dicom/wado/1.2.3")
def test_what_is_allowed_leads_nowhere_else(url: str) -> None:
    """As a browser reads it (WHATWG URL), and another library, on a page of ours."""
    try:
        check_url(url, HOSTS)
    except InvalidInput:
        return
    cleaned = url.strip(string.whitespace).replace("\\", "/").replace("\t", "").replace("\n", "").replace("\r", "")
    assert cleaned == url
    led = URL("https://examflow.test/list/page").join(URL(url))
    assert (led.scheme, led.user, led.password, led.port) == ("https", None, None, 443)
    assert led.host in ("examflow.test", ALLOWED)
    if led.host == "examflow.test":
        assert led.path.startswith("/dicom/")
        assert ".." not in led.path


@given(
    st.text(alphabet=string.ascii_letters + string.digits + "-._~/", max_size=80).filter(lambda text: ".." not in text)
)
def test_plain_paths_are_not_refused(rest: str) -> None:
    """A check that refused everything would pass all the others."""
    check_url(f"/dicom/{rest}", [])
    check_url(f"https://{ALLOWED}/{rest}", [ALLOWED])


def refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url, HOSTS)


def settings_with(host: str) -> Settings:
    return Settings(**{**SHARED, "database": DATABASE, "internal_token": "secret", "url_hosts": [host]})
