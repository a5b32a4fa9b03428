"""The tables of a dialect as its page has to say them."""

import json


def code(text: str) -> str:
    return f"`{text}`"


def told_drops(rows) -> list[list[str]]:
    return [[code(row.path), row.kind] for row in rows]


def told_defaults(rows) -> list[list[str]]:
    return [
        [code(row.path), code(json.dumps(row.value)), ", ".join(map(code, row.prefixes)) or "all"]
        for row in rows
    ]
