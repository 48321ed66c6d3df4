"""The tests that docs/security.md names are there: a threat whose test was renamed would look covered, and not be."""

import re

from deploy.local.layout import REPO


def test_each_test_that_it_names_exists() -> None:
    page = (REPO / "docs" / "security.md").read_text()
    named = re.findall(r"`((?:tests/[a-z0-9_/]+/)?(?:test_)?[a-z_]+\.(?:py|txt))`", page)
    known = {str(path.relative_to(REPO)) for path in (REPO / "tests").rglob("*.*")}
    tests = [name for name in named if name.startswith(("tests/", "test_"))]
    assert len(tests) > 30
    assert [name for name in tests if not any(path == name or path.endswith(f"/{name}") for path in known)] == []
