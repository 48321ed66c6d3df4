"""HTTP as no library would send it."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit


def ask(url: str, request: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers (names in small letters) and JSON of the answer to these bytes."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 80), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while not _is_whole(answer):
            piece = connection.recv(65536)
            assert piece, answer
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(line.split()[1]), headers, json.loads(body)


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and bool(lengths) and len(body) >= int(lengths[0])
