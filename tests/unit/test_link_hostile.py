"""Links that would reach inward if anything followed them: refused, even where an operator allowed them by mistake."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from services.registration_service.link import check_url
from services.registration_service.settings import Settings
from shared.errors import InvalidInput
from tests.unit.settings import DATABASE, SHARED

ALLOWED = "viewer.hospital.test"
# What no operator should allow; each is put on the allow-list all the same.
MISTAKES = [
    "169.254.169.254",  # metadata of AWS, Azure, GCP
    "169.254.170.2",
    "100.100.100.200",
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "127.0.0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "10.0.0.7",
    "192.168.1.1",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "1.2.3.4.5",
    "viewer.123",
    "viewer.0x7f",
    "::1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "fd00:ec2::254",
    "[fe80::1%25eth0]",
    "[64:ff9b::a9fe:a9fe]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "x.localhost",
    "localhost.localdomain",
    "localhost6",
    "ip6-localhost",
    "orthanc",
    "rabbitmq",
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
    "viewer.hospital.test.",
    ".hospital.test",
    "viewer..test",
    "-viewer.test",
    "viewer-.test",
    "viewer_1.hospital.test",
    "vïewer.hospital.test",
    "ⅴiewer.hospital.test",
    "viewer。hospital。test",
    "viewer.hospital.test:8443",
    "user@viewer.hospital.test",
    "viewer.hospital.test/path",
    "https://viewer.hospital.test",
    "*.hospital.test",
    "*",
    " viewer.hospital.test",
    "viewer.hospital.test\n",
    "viewer.hospital.\u202etest",
    "x" * 64 + ".test",
    ".".join(["x" * 60] * 5),
    "",
]
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


HOSTILE = [
    f"//{ALLOWED}/",
    f"///{ALLOWED}/",
    f"\\\\{ALLOWED}\\",
    f"https:{ALLOWED}/",
    f"https:/{ALLOWED}/",
    f"https:///{ALLOWED}/",
    f"https:\\\\{ALLOWED}/",
    f"http://{ALLOWED}/",
    f"ftp://{ALLOWED}/",
    f"wss://{ALLOWED}/",
    f"javascript://{ALLOWED}/%0aalert(1)",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml;base64,PHN2Zz4=",
    f"blob:https://{ALLOWED}/1",
    f"view-source:https://{ALLOWED}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:5672/_",
    "dict://127.0.0.1:11211/",
    "about:blank",
    f"https://user@{ALLOWED}/",
    f"https://user:password@{ALLOWED}/",
    f"https://@{ALLOWED}/",
    f"https://{ALLOWED}@169.254.169.254/",
    f"https://{ALLOWED}:443@169.254.169.254/",
    f"https://169.254.169.254#@{ALLOWED}/",
    f"https://169.254.169.254\\@{ALLOWED}/",
    f"https://{ALLOWED}\\@169.254.169.254/",
    f"https://{ALLOWED}%2f@169.254.169.254/",
    f"https://{ALLOWED}%00.evil.test/",
    f"https://{ALLOWED}%2eevil.test/",
    f"https://evil.test%2f{ALLOWED}/",
    f"https://{ALLOWED}:22/",
    f"https://{ALLOWED}:0443/",
    f"https://{ALLOWED}:/",
    f"https://{ALLOWED}:443x/",
    f"https://{ALLOWED}:443:443/",
    f"https://{ALLOWED}./",
    f"https://{ALLOWED}.evil.test/",
    f"https://evil-{ALLOWED}/",
    f"https://{ALLOWED};evil.test/",
    f"https://{ALLOWED}&evil.test/",
    f"https://{ALLOWED}\x00.evil.test/",
    f"https://{ALLOWED}\t.evil.test/",
    f"https://{ALLOWED}\r\nX-Injected: 1",
    f"https://{ALLOWED}/\r\nX-Injected: 1",
    f"https://{ALLOWED}/%0d%0aX-Injected:%201",
    f"https://{ALLOWED}/%250d%250aX-Injected:%201",
    f"https://{ALLOWED}/%00",
    f"https://{ALLOWED}/%E2%80%AEgpj.exe",
    f"https://{ALLOWED}/\u202egpj.exe",
    f"https://{ALLOWED}/\u200bx",
    f"https://{ALLOWED}/%5c..%5c",
    f"https://{ALLOWED}/é",
    f"https://{ALLOWED}/ x",
    f" https://{ALLOWED}/",
    f"https://{ALLOWED}/ ",
    "https://vιewer.hospital.test/",  # a Greek iota
    "https://xn--vewer-6ye.hospital.test/",
    "https://ｖiewer.hospital.test/",
    "https://viewer．hospital．test/",
    "https://vie\u00adwer.hospital.test/",
    "https://vie\u200dwer.hospital.test/",
    "/dicom/../internal/instances/1",
    "/dicom/..",
    "/dicom/./../internal",
    "/dicom/x/../../internal",
    "/dicom/..;/internal",
    "/dicom/%2e%2e/internal",
    "/dicom/%2E%2E/internal",
    "/dicom/.%2e/internal",
    "/dicom/%2e./internal",
    "/dicom/%252e%252e/internal",
    "/dicom/%25252e%25252e/internal",
    "/dicom/%2525252e%2525252e/internal",
    "/dicom/..%2finternal",
    "/dicom/..%5cinternal",
    "/dicom/%5c%5cevil.test",
    "/dicom/%255cevil.test",
    "/dicom/\\evil.test",
    "/dicom/%00",
    "/dicom/%0d%0aLocation:%20https://evil.test",
    "/dicom/%E2%80%AE",
    "/dicom/%u002e%u002e/x\n",
    "/dicom/" + quote("\u2066"),
    "/dicom",
    "/dicom%2f..%2finternal",
    "/%64icom/x",
    "/dicomx/",
    "/DICOM/x",
    "/",
    "",
    ".",
    "../dicom/x",
    "/\\evil.test/dicom/",
    "/\t/evil.test",
    "\u2028/dicom/x",
    "/dicom/" + "x" * 494,
    f"https://{ALLOWED}/" + "x" * 472,
]


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
