"""`docs/api.md`, made from the API's own schema: `make docs`; a test compares."""

import json
import sys
from collections.abc import Iterator
from typing import Any

HEAD = """# The API

JSON over HTTP. This page is made from the schema that the network itself serves at `/schema/` (`make docs`). A running
network shows the same at `/docs/`, where calls can be tried, and every call of people as a page with a form.

- **Who calls.** A program sends `Authorization: Bearer <API key>`, a machine `Authorization: Worker <uuid>.<secret>`; a
  browser has its log-in, and a sandbox asks nobody. Which key opens what is in [Who may do what](access.md#the-table).
- **Amounts** are tokens with at most six decimals, **times** seconds since 1970 (UTC), durations end in `_seconds`.
- **Errors** are `{"success": false, "error": "…"}`, a sentence that says what to change; nothing was changed.
- **Sending again.** A call that changes something takes an `Idempotency-Key`: the same key with the same request does
  it once ([more](operations.md#requests-that-are-sent-again)).
- **Lists** take `limit` and `offset`, and say how many there are in `count`.

| status | means |
| --- | --- |
"""
TITLES = {
    "jobs": "Jobs",
    "datasets": "Datasets",
    "client": "Clients",
    "worker": "Workers, for their contributors",
    "token": "Tokens",
    "network": "The network",
    "log": "The sealed log",
    "access": "Keys, invitations, grants",
    "pools": "Pools",
    "machines": "Machines",
}
VERBS = ("get", "put", "post", "patch", "delete")
Schema = dict[str, Any]


def page(schema: Schema) -> str:
    """The page for what `manage.py spectacular` says.

    Raises:
        KeyError: the schema has a tag without a title.
    """
    kinds = schema["components"]["schemas"]
    calls: dict[str, list[str]] = {tag: [] for tag in TITLES}
    statuses: dict[str, str] = {}
    for path, verbs in schema["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                calls[verbs[verb]["tags"][0]] += _call(f"{verb.upper()} {path}", verbs[verb], kinds)
                for status, answer in verbs[verb]["responses"].items():
                    if answer.get("description"):
                        statuses.setdefault(status, _line(answer["description"]))
    rows = "".join(f"| {status} | {statuses[status]} |\n" for status in sorted(statuses))
    sections = (f"\n## {TITLES[tag]}\n" + "".join(lines) for tag, lines in calls.items() if lines)
    return HEAD + rows + "".join(sections)


def _call(name: str, call: Schema, kinds: Schema) -> Iterator[str]:
    yield f"\n### `{name}`\n\n{call['description'].strip()}\n"
    asked = [each for each in call.get("parameters", []) if each["in"] == "query"]
    fields = [*_fields(_content(call.get("requestBody", {})), kinds)]
    if fields or asked:
        yield "\n| it takes | type | |\n| --- | --- | --- |\n"
        for field, kind, needed in fields:
            yield f"| `{field}`{'' if needed else ' (optional)'} | {_kind(kind, kinds)} | {_said(kind)} |\n"
        for each in asked:
            yield f"| `?{each['name']}=` | {_kind(each['schema'], kinds)} | {_said(each)} |\n"
    answered = ", ".join(f"`{field}`" for field, _, _ in _fields(_content(call["responses"].get("200", {})), kinds))
    if answered:
        yield f"\nIt answers {answered}.\n"


def _content(part: Schema) -> Schema:
    """The schema of a body, in the first form that it may have."""
    return next((each.get("schema", {}) for each in part.get("content", {}).values()), {})


def _fields(schema: Schema, kinds: Schema) -> Iterator[tuple[str, Schema, bool]]:
    named = _named(schema, kinds)
    for name, kind in named.get("properties", {}).items():
        if not kind.get("readOnly") or "Request" not in schema.get("$ref", ""):
            yield name, kind, name in named.get("required", ())


def _named(schema: Schema, kinds: Schema) -> Schema:
    """What a reference leads to; of what may be null, what it is otherwise."""
    [only] = schema.get("allOf", [schema])[:1]
    found: Schema = kinds[only["$ref"].rpartition("/")[2]] if "$ref" in only else only
    return found


def _kind(schema: Schema, kinds: Schema) -> str:
    found = _named(schema, kinds)
    if "enum" in found:
        return ", ".join(f"`{each}`" for each in found["enum"] if each not in ("", None))
    if "oneOf" in found:
        return " or ".join(dict.fromkeys(_kind(each, kinds) for each in found["oneOf"] if each.get("enum") != [None]))
    if found.get("type") == "array":
        return f"list of {_kind(found['items'], kinds)}"
    if found.get("type") == "object" and found.get("properties"):
        return "{" + ", ".join(f"`{name}`" for name in found["properties"]) + "}"
    kind: str = found.get("type", "any")
    return {"string": "text", "boolean": "true or false"}.get(kind, kind)


def _said(schema: Schema) -> str:
    said = schema.get("description", "")
    return "" if said.startswith("* `") else _line(said)  # a choice's labels, which its values say already


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page(json.load(sys.stdin)))
