"""Judges what an origin answered to a call of the Responses API, and gives it in every shape."""

from collections.abc import Sequence

from msgspec.json import encode

from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.judging import judge_json, judged, kept_events, stored_body, unpadded
from tiered_cache.core.preamble import opens_responses
from tiered_cache.core.raw_json import NULL, UnreadableError, members, members_or_none, string
from tiered_cache.core.responses_reading import read_response, read_usage, why_not_stored
from tiered_cache.core.responses_rendering import free_responses_event, live_responses, render_responses
from tiered_cache.core.responses_stream import ends, is_told, told
from tiered_cache.core.spoken import spoken_responses
from tiered_cache.core.sse import Event, write_event
from tiered_cache.core.vocabulary import Answer, Call, Refusal, Usage


def _read_json(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole JSON answer; it is stored byte for byte.

    Refused with `bad-json` (no JSON object, or JSON was asked for and is none), `error-body`, `choices` (no
    list of output), `refusal`, `finish-reason`, `empty`, `bad-arguments`, `origin-tool`.
    """
    return judge_json(call, body, read_response, read_usage, why_not_stored)


def _read_stream(call: Call, events: Sequence[Event]) -> Answer | Refusal:
    """Judge a whole stream; it is stored as the origin's events up to the last one of the answer.

    Refused as a JSON answer is, and with `incomplete` unless a response object ends it.
    """
    stream = told(events)
    usage = read_usage(stream.usage)
    if stream.response is None or stream.problem is not None:
        return Refusal(_problem(stream.problem, has_end=stream.response is not None), usage)
    answer = members(stream.response)
    if answer.get("error", NULL) != NULL:
        return Refusal("error-body", usage)
    try:
        said = read_response(answer)
        locked = stream.is_locked(answer)
    except UnreadableError:
        return Refusal("choices", usage)
    body = stored_body(map(unpadded, kept_events(stream.kept)))
    if body is None:
        return Refusal("incomplete", usage)
    return judged(call, "sse", body, said, locked=locked, why=why_not_stored)


def _problem(problem: str | None, *, has_end: bool) -> str:
    """An error says more than that the stream broke off behind it."""
    if problem == "error-body" or (has_end and problem is not None):
        return problem
    return "incomplete"


def _usage_of(texts: Sequence[bytes]) -> Usage:
    """The last statement counts, never the sum."""
    if not texts:
        return Usage()
    said = members_or_none(texts[-1])
    return read_usage(members_or_none(said.get("response", texts[-1])).get("usage"))


def _error_event(message: str, code: str) -> bytes:
    """The API's error event; SDKs raise on its `error` member, as its own server writes it too."""
    error = {"message": message, "type": "server_error", "code": code, "param": None}
    said = {"type": "error", "code": code, "message": message, "param": None, "error": error}
    return write_event(encode(said), b"error")


def _write_chunk(text: bytes, survives: bool) -> bytes:
    """A value as an event, named by its type; an error keeps the stream from being stored."""
    kind = string(members_or_none(text).get("type")) or ""
    named = survives and kind.replace(".", "").isidentifier()  # nothing that would end the line
    return write_event(text, kind.encode() if named else b"error")


RESPONSES_ANSWERS = AnswerDialect(
    read_json=_read_json,
    read_stream=_read_stream,
    ends_stream=ends,
    render=render_responses,
    spoken=spoken_responses,
    live=live_responses,
    usage_of=_usage_of,
    error_event=_error_event,
    write_chunk=_write_chunk,
    is_chunk=is_told,
    closing=b"",
    free=free_responses_event,
    opens=opens_responses,
)
"""The answers of the Responses API."""
