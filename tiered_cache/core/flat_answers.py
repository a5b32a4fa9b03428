"""What answers of flat dialects have in common: one JSON body, judged by its schema, kept byte for byte."""

from collections.abc import Callable, Sequence

from tiered_cache.core.chat_answers import CHAT_ANSWERS
from tiered_cache.core.chat_reading import read_usage
from tiered_cache.core.content import find_expiry
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.free import without_cost
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    check,
    integer,
    is_object,
    members,
    members_or_none,
    string,
)
from tiered_cache.core.sse import Event
from tiered_cache.core.storable import is_first
from tiered_cache.core.vocabulary import Answer, Call, ContentClass, Entry, Refusal, Shape, Usage

Judge = Callable[[Call, dict[str, bytes]], str | None]
Render = Callable[[Entry, Shape, bool], bytes | None]
ReadUsage = Callable[[bytes | None], Usage]
"""Reads a `usage` object, whatever it is."""


def read_flat(call: Call, body: bytes, judge: Judge, usage_in: ReadUsage = read_usage) -> Answer | Refusal:
    """Judge a whole JSON answer; it is stored byte for byte.

    Refused with `bad-json` (no JSON object), `error-body`, or the word that `judge` gives.
    """
    try:
        check(body)
        answer = members(body)
    except UnreadableError:
        return Refusal("bad-json")
    usage = usage_in(answer.get("usage"))
    if answer.get("error", NULL) != NULL:
        return Refusal("error-body", usage)
    detail = judge(call, answer)
    return answer_of(call, body, answer, usage) if detail is None else Refusal(detail, usage)


def answer_of(call: Call, body: bytes, answer: dict[str, bytes], usage: Usage) -> Answer:
    """What becomes of an answer that may be stored; `answer` are its members."""
    model = string(answer.get("model")) or ""
    expiry = find_expiry(answer.items())
    return Answer(
        form="json",
        body=body,
        locked=call.vectors == "other",
        has_usage=is_object(answer.get("usage", NULL)),
        content_class=ContentClass.GENERIC,
        model=model,
        usage=usage,
        short_lived=bool(call.fallback_models) and not is_first(model, call.fallback_models),
        expires_at_s=expiry.at_s,
        result_urls=expiry.unknown,
    )


def indexes(results: Sequence[dict[str, bytes]]) -> set[int] | None:
    """The `index` of every result; None where one has none, or two have the same."""
    found = {integer(result.get("index")) for result in results}
    known = {index for index in found if index is not None}
    return known if len(known) == len(results) else None


def render_as_it_is(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    """The entry's bytes; there is one shape."""
    if shape != "json":
        return None
    return without_cost(entry.body) if free else entry.body


def json_only(
    judge: Judge, render: Render = render_as_it_is, usage_in: ReadUsage = read_usage
) -> AnswerDialect:
    """A dialect without streams."""

    def usage_of(texts: Sequence[bytes]) -> Usage:
        return usage_in(members_or_none(texts[-1]).get("usage")) if texts else Usage()

    return AnswerDialect(
        read_json=lambda call, body: read_flat(call, body, judge, usage_in),
        read_stream=_no_stream,
        ends_stream=_never_ends,
        render=render,
        spoken=CHAT_ANSWERS.spoken,
        live=_as_it_comes,
        usage_of=usage_of,
        # These endpoints have OpenAI's errors and no streams of their own.
        error_event=CHAT_ANSWERS.error_event,
        write_chunk=CHAT_ANSWERS.write_chunk,
        is_chunk=CHAT_ANSWERS.is_chunk,
        closing=CHAT_ANSWERS.closing,
    )


def _no_stream(call: Call, events: Sequence[Event]) -> Refusal:
    del call, events
    return Refusal("media-type")


def _never_ends(event: Event) -> bool:
    del event
    return False


def _as_it_comes(event: Event, include_usage: bool) -> bytes:
    del include_usage
    return event.raw
