"""One chat call in the spellings of several SDKs: other bytes, the same meaning."""

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

_DECIMALS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_NOBODIES = ("user-17", "user-23", "session-4f1c")


def vary(body: dict[str, Any], randomness: random.Random) -> dict[str, Any]:
    """`body` with optional fields as some application would write them; its meaning stays."""
    varied = dict(body)
    for change in randomness.sample(_CHANGES, k=randomness.randrange(len(_CHANGES))):
        change(varied, randomness)
    return varied


def _state_one_choice(body: dict[str, Any], _randomness: random.Random) -> None:
    body.setdefault("n", 1)


def _state_text_format(body: dict[str, Any], _randomness: random.Random) -> None:
    body.setdefault("response_format", {"type": "text"})


def _name_the_user(body: dict[str, Any], randomness: random.Random) -> None:
    body["user"] = randomness.choice(_NOBODIES)


def _tag(body: dict[str, Any], randomness: random.Random) -> None:
    body["metadata"] = {"request": str(randomness.randrange(10**6))}


def _one_text_part(body: dict[str, Any], _randomness: random.Random) -> None:
    *earlier, last = body["messages"]
    if isinstance(last["content"], str):
        body["messages"] = [*earlier, {**last, "content": [{"type": "text", "text": last["content"]}]}]


def _list_the_stop(body: dict[str, Any], _randomness: random.Random) -> None:
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]


def _state_tool_choice(body: dict[str, Any], _randomness: random.Random) -> None:
    if body.get("tools"):
        body.setdefault("tool_choice", "auto")


_CHANGES: tuple[Callable[[dict[str, Any], random.Random], None], ...] = (
    _state_one_choice,
    _state_text_format,
    _name_the_user,
    _tag,
    _one_text_part,
    _list_the_stop,
    _state_tool_choice,
)


def respell(raw: bytes, sdk: str) -> bytes:
    """A body as the OpenAI SDK for Python wrote it, written as `sdk` would (a name of `SPELLINGS`)."""
    return SPELLINGS[sdk](raw)


def _as_is(raw: bytes) -> bytes:
    """Compact UTF-8, fields as the caller ordered them, `0.0` for a float."""
    return raw


def _as_node(raw: bytes) -> bytes:
    """JSON.stringify: compact, and a number has no trailing `.0`."""
    body = json.loads(raw)
    for name in _DECIMALS:
        if isinstance(body.get(name), float) and body[name].is_integer():
            body[name] = int(body[name])
    return msgspec.json.encode(body)


def _as_go(raw: bytes) -> bytes:
    """encoding/json of a map: names sorted, and `<`, `>`, `&` escaped. Schemas keep their order."""
    body = json.loads(raw)
    text = msgspec.json.encode(dict(sorted(body.items()))).decode()
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _as_requests(raw: bytes) -> bytes:
    """json.dumps: blanks after `,` and `:`, non-ASCII letters escaped."""
    return json.dumps(json.loads(raw)).encode()


def _as_curl(raw: bytes) -> bytes:
    """By hand: indented, the messages last, decimals written out."""
    body = json.loads(raw)
    body["messages"] = body.pop("messages")
    for name in _DECIMALS:
        if isinstance(body.get(name), int):
            body[name] = float(body[name])
    return json.dumps(body, indent=2, ensure_ascii=False).encode()


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "python": _as_is,
    "node": _as_node,
    "go": _as_go,
    "requests": _as_requests,
    "curl": _as_curl,
}
