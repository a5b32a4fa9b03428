"""Judges what an origin answered to an images call: JSON alone, kept as it came."""

from typing import Final

from tiered_cache.core.flat_answers import json_only
from tiered_cache.core.free import without_cost
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    members_or_none,
    objects,
    string,
    with_member,
)
from tiered_cache.core.usage import UsageNames, usage_named
from tiered_cache.core.vocabulary import Call, Entry, Shape, Usage

ECHO: Final = "safety_identifier"
"""Repeated of the request although it is not in the key: null for a caller who did not ask the origin, as it
is nobody else's business whom another call was for."""

_USAGE = UsageNames("input_tokens", "output_tokens", "input_tokens_details")
_PICTURES: Final = ("b64_json", "url")


def _judge_images(call: Call, answer: dict[str, bytes]) -> str | None:
    """`schema` (no list of pictures); `choices` (not as many as asked for)."""
    try:
        pictures = objects(answer.get("data", NULL))
    except UnreadableError:
        return "schema"
    if not all(any(string(picture.get(name)) for name in _PICTURES) for picture in pictures):
        return "schema"
    return None if len(pictures) == call.choices else "choices"


def _render(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    if shape != "json":
        return None
    return _for_another(entry.body) if free else entry.body


def _for_another(body: bytes) -> bytes:
    body = without_cost(body)
    if b'"safety_identifier"' not in body or members_or_none(body).get(ECHO, NULL) == NULL:
        return body
    try:
        return with_member(body, ECHO, NULL)
    except UnreadableError:
        return body


def _read_usage(text: bytes | None) -> Usage:
    return usage_named(text, _USAGE)


IMAGES_ANSWERS = json_only(_judge_images, _render, _read_usage)
"""The answers of images/generations."""
