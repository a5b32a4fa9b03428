"""Other spellings and damaged copies of JSON bodies, drawn fast from a seeded source."""

import json
import random

SPACES = ("", "", "", " ", "\n\t ", "\r\n")
PIECES = (
    *(
        b"",
        b'"',
        b"1",
        b"0",
        b" ",
        b".0",
        b"e1",
        b"-",
        b"\\",
        b",",
        b"null",
        b"{}",
        b"\\ud800",
        b"\xff",
        b":",
    ),
    *(b"true", b"[]", b'"a"', b'"x":1,', b"1.0", b"\\u0022", b"\xc3\xa9", b"NaN"),
)


def spelled(value, draw: random.Random) -> str:
    """JSON text of a value: order of members, white space, escapes and spellings of numbers as they fall."""
    space = draw.choice(SPACES)
    if isinstance(value, str):
        return _string(value, draw)
    if isinstance(value, list):
        return f"[{','.join([spelled(item, draw) for item in value])}{space}]"
    if isinstance(value, dict):
        members = list(value.items())
        draw.shuffle(members)
        written = [f"{space}{_string(name, draw)}{space}:{spelled(item, draw)}" for name, item in members]
        return f"{{{','.join(written)}{space}}}"
    text = json.dumps(value)
    if isinstance(value, int) and not isinstance(value, bool):
        text += draw.choice(("", "", ".0", "e0", ".00E+0"))
    return text


def _string(text: str, draw: random.Random) -> str:
    written = json.dumps(text, ensure_ascii=draw.random() < 0.3)
    if text.isalnum() and text.isascii() and draw.random() < 0.2:
        at = draw.randrange(len(text))
        return f'"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}"'
    return written


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """The body with a few bytes cut out and a piece put in."""
    at, cut = draw.randrange(len(raw)), draw.randrange(3)
    return raw[:at] + draw.choice(PIECES) + raw[at + cut :]
