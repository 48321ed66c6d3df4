"""Which `url` an image may be given: a path under /dicom/, or https on a host that the operators allow."""

import pytest

from services.registration_service.link import check_url
from shared.errors import InvalidInput
from shared.texts import visible

HOSTS = ["viewer.hospital.test", "xn--hpital-xwa.test"]


@pytest.mark.parametrize(
    "url",
    [
        None,
        "/dicom/wado/1.2.3",
        "/dicom/wado?requestType=WADO&objectUID=1.2.3&contentType=image%2Fjpeg",
        "/dicom/instances/abc/preview?quality=90#top",
        "https://viewer.hospital.test",
        "https://viewer.hospital.test/",
        "https://viewer.hospital.test:443/study/1.2.3?x=y@z#frame",
        "HTTPS://Viewer.Hospital.Test/study",
        "https://viewer.hospital.test?study=1",
        "https://viewer.hospital.test#1",
        "https://viewer.hospital.test/%C3%A9tude/1%202",
        "https://viewer.hospital.test/a..b",
        "https://xn--hpital-xwa.test/study",
        "/dicom/wado/" + "1" * 488,
        "https://viewer.hospital.test/" + "x" * 471,
    ],
)
def test_allowed(url: str | None) -> None:
    check_url(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "/dicom",
        "/dicomx/1",
        "dicom/wado/1.2.3",
        "/DICOM/wado/1.2.3",
        "/examens-medicaux/images",
        "//viewer.hospital.test/study",
        "/\\viewer.hospital.test",
        "/dicom/../internal/instances/1",
        "/dicom/..",
        "/dicom/%2e%2e/internal/instances/1",
        "/dicom/.%2E/internal/instances/1",
        "/dicom/\\..\\internal",
        "/dicom/ 1",
        "/dicom/1\n",
        "/dicom/\t1",
        "/dicom/1\0",
        "/dicom/é",
        " /dicom/1",
        "http://viewer.hospital.test/study",
        "https://evil.test/study",
        "/dicom/wado/" + "1" * 489,
        "https://viewer.hospital.test/" + "x" * 472,
        "https://viewer.hospital.test.evil.test/",
        "https://evil.test/viewer.hospital.test",
        "https://evil.test#viewer.hospital.test",
        "https://evil.test?viewer.hospital.test",
        "https://evil.test\\@viewer.hospital.test/",
        "https://viewer.hospital.test\\@evil.test/",
        "https://viewer.hospital.test@evil.test/",
        "https://user@viewer.hospital.test/",
        "https://user:password@viewer.hospital.test/",
        "https://@viewer.hospital.test/",
        "https://:@viewer.hospital.test/",
        "https://viewer.hospital.test:8443/",
        "https://viewer.hospital.test:99999/",
        "https://viewer.hospital.test:x/",
        "https://viewer.hospital.test./",
        "https://sub.viewer.hospital.test/",
        "https://[::1]/",
        "https://[::1",
        "https://167772167/",
        "https:viewer.hospital.test/",
        "https:/viewer.hospital.test/",
        "https:///viewer.hospital.test/",
        "https://",
        "https://\tviewer.hospital.test/",
        "https://viewer.hospital.test\n.evil.test/",
        "https://ⅴiewer.hospital.test/",
        "javascript:alert(1)",
        "JavaScript://viewer.hospital.test/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://viewer.hospital.test/",
        "gopher://viewer.hospital.test/",
    ],
)
def test_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url, HOSTS)
    [error] = refused.value.errors
    assert error.said("en") == {
        "field": "url",
        "problem": "must be a path under /dicom/ or https on a host that the operators allow",
        "value": visible(url[:80]),
    }


def test_no_host_is_allowed_by_default() -> None:
    check_url("/dicom/wado/1.2.3", [])
    with pytest.raises(InvalidInput):
        check_url("https://viewer.hospital.test/", [])
