"""Which language a refusal is in (RFC 9110, 12.5.4)."""

import pytest

from shared.problem_json import language_of


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("", "en"),
        ("en", "en"),
        ("fr", "fr"),
        ("FR", "fr"),
        ("fr-CA", "fr"),
        ("fr-Latn-FR", "fr"),
        ("en-GB, fr;q=0.9", "en"),
        ("fr, en;q=0.9", "fr"),
        ("en;q=0.8, fr;q=0.9", "fr"),
        ("fr;q=0.8,en;q=0.9", "en"),
        ("fr;q=0.9,en;q=0.9", "en"),
        ("de, fr;q=0.5", "fr"),
        ("de, es", "en"),
        ("*", "en"),
        ("fr;q=0", "en"),
        ("fr;q=0, en;q=0", "en"),
        ("en;q=0.1, fr-FR;q=0.05, fr-BE;q=0.2", "fr"),
        (" fr ; q=0.7 , en;q=0.6", "fr"),
        ("fr;q=1.000,en;q=0.999", "fr"),
        ("frr, fro", "en"),
        ("fr;q=abc, en;q=0.1", "en"),
        ("fr;q=.", "en"),
        ("fr;q=1.2.3", "en"),
        (",,;;,", "en"),
        ("fr" * 10_000, "en"),
        ("fr," * 10_000, "fr"),
    ],
)
def test_language(accept_language: str, language: str) -> None:
    assert language_of(accept_language) == language
