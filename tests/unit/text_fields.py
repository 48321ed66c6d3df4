"""Every text field that a service takes, found in its OpenAPI document, and a request with that one field set."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tests.unit.multipart import CONTENT_TYPE, file_part, form, part

Schema = dict[str, Any]


@dataclass(frozen=True)
class TextField:
    """One field: where it stands, and its name as an error names it (`principals.0`)."""

    service: str
    method: str
    path: str
    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path} {self.where} {self.name}"

    def request(self, text: str) -> dict[str, Any]:
        """What httpx is asked to send."""
        path = self.path
        for name in _path_names(self.path):
            path = path.replace(
                f"{{{name}}}", quote(text if (self.where, self.name) == ("path", name) else "a", safe="")
            )
        sent: dict[str, Any] = {"method": self.method.upper(), "url": path}
        if self.where == "query":
            sent["params"] = {self.name: text}
        elif self.where == "header":
            sent["headers"] = [(self.name.encode(), text.encode("latin-1" if max(text) < "\u0100" else "utf-8"))]
        elif self.where == "form":
            sent["content"] = form(part(self.name, text.encode()), file_part(b"content"))
            sent["headers"] = [(b"content-type", CONTENT_TYPE.encode())]
        elif self.where == "body":
            sent["json"] = _nested(self.name.split("."), text)
        return sent


def text_fields(service: str, document: Schema) -> Iterator[TextField]:
    """Those of all operations of one service."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                if any(True for _ in _texts(document, parameter["schema"], "")):
                    yield TextField(service, method, path, parameter["in"], parameter["name"])
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                where = "form" if kind == "multipart/form-data" else "body"
                for name in _texts(document, content["schema"], ""):
                    yield TextField(service, method, path, where, name)


def schema_texts(schema: Schema) -> list[str]:
    """The text fields of one JSON Schema."""
    return list(_texts(schema, schema, ""))


def _texts(document: Schema, schema: Schema, name: str) -> Iterator[str]:
    """The names of all texts in a schema, `.0` for an item of a list."""
    if "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        yield from _texts(document, found, name)
        return
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from _texts(document, one, name)
    if schema.get("type") == "string" and schema.get("format") != "binary":
        yield name
    if "items" in schema:
        yield from _texts(document, schema["items"], f"{name}.0")
    for key, inner in schema.get("properties", {}).items():
        yield from _texts(document, inner, f"{name}.{key}" if name else key)


def put(whole: Any, name: str, value: Any) -> Any:
    """The same JSON with another value in one place."""
    head, _, rest = name.partition(".")
    inner = put((whole or {}).get(head), rest, value) if rest and not rest.startswith("0") else value
    return {**(whole or {}), head: [value] if rest == "0" else inner}


def _nested(steps: list[str], value: Any) -> Any:
    for step in reversed(steps):
        value = [value] if step == "0" else {step: value}
    return value


def _path_names(path: str) -> list[str]:
    return [piece.partition("}")[0] for piece in path.split("{")[1:]]


async def refusal(client: httpx.AsyncClient, field: TextField, text: str) -> tuple[int, dict[str, str]]:
    """The status, and what the answer says about each field."""
    answer = await client.request(**field.request(text))
    return answer.status_code, {error["field"]: error["problem"] for error in answer.json().get("errors", [])}
