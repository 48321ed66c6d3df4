"""What was answered with an error, to any client of these tests: searched for patients' names at the end."""

import httpx

BODIES: list[bytes] = []


def remember_refusal(answer: httpx.Response) -> None:
    """An event hook of httpx clients."""
    if answer.is_error:
        BODIES.append(answer.read())
