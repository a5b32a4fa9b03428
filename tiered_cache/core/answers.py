"""Judges and writes answers: by the dialect of their endpoint, and by what is the same for all."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from tiered_cache.core.chat_answers import CHAT_ANSWERS
from tiered_cache.core.completions_answers import COMPLETIONS_ANSWERS
from tiered_cache.core.cuts import Cut
from tiered_cache.core.dialect import JSON, AnswerDialect
from tiered_cache.core.embeddings_answers import EMBEDDINGS_ANSWERS
from tiered_cache.core.generic_answers import GENERIC_ANSWERS
from tiered_cache.core.images_answers import IMAGES_ANSWERS
from tiered_cache.core.messages_answers import MESSAGES_ANSWERS
from tiered_cache.core.responses_answers import RESPONSES_ANSWERS
from tiered_cache.core.shapes import form_of
from tiered_cache.core.speech_answers import SPEECH_ANSWERS
from tiered_cache.core.sse import Event
from tiered_cache.core.stored_fields import stored_headers
from tiered_cache.core.transcription_answers import TRANSCRIPTION_ANSWERS
from tiered_cache.core.validators import make_etag
from tiered_cache.core.verdict_answers import MODERATIONS_ANSWERS, RERANK_ANSWERS
from tiered_cache.core.vocabulary import (
    Answer,
    Call,
    Entry,
    Headers,
    Refusal,
    Rendering,
    Shape,
    Usage,
)
from tiered_cache.errors import OriginCutError

__all__ = [
    "closing",
    "ends_stream",
    "error_event",
    "idle",
    "is_chunk",
    "is_live",
    "live",
    "opens",
    "read_json",
    "read_stream",
    "refuse_head",
    "render",
    "spoken",
    "stored_headers",
    "usage_of",
    "with_cut",
    "write_chunk",
]

_SSE_FIELD = b"text/event-stream; charset=utf-8"

DIALECTS: Mapping[str, AnswerDialect] = MappingProxyType(
    {
        "chat/completions": CHAT_ANSWERS,
        "completions": COMPLETIONS_ANSWERS,
        "messages": MESSAGES_ANSWERS,
        "responses": RESPONSES_ANSWERS,
        "embeddings": EMBEDDINGS_ANSWERS,
        "rerank": RERANK_ANSWERS,
        "moderations": MODERATIONS_ANSWERS,
        "images/generations": IMAGES_ANSWERS,
        "audio/speech": SPEECH_ANSWERS,
        "audio/transcriptions": TRANSCRIPTION_ANSWERS,
    }
)
"""By endpoint: exactly those whose requests have a form of their own; all others have the generic one."""


def refuse_head(call: Call, status: int, headers: Headers) -> Refusal | None:
    """What a head already forbids: `status` unless 200, `media-type` unless what was asked for.

    The body is judged when it is whole.
    """
    if status != 200:
        return Refusal("status")
    stated = {_media_type(value) for name, value in headers if name == b"content-type"}
    accepts = _dialect(call.endpoint).accepts
    fits = len(stated) == 1 and all(accepts(call, media_type) for media_type in stated)
    return None if fits else Refusal("media-type")


def is_live(call: Call, status: int, content_type: bytes) -> bool:
    """Whether an answer is passed on as it comes, whatever letters its media type is written in."""
    media_type = _media_type(content_type)
    accepts = _dialect(call.endpoint).accepts
    return call.stream and status == 200 and media_type != JSON and accepts(call, media_type)


def read_json(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole answer that is no stream; it is stored byte for byte."""
    return _dialect(call.endpoint).read_json(call, body)


def read_stream(call: Call, events: Sequence[Event]) -> Answer | Refusal:
    """Judge a whole stream; it is stored as the origin's events, without what is of one connection."""
    return _dialect(call.endpoint).read_stream(call, events)


def ends_stream(endpoint: str, event: Event) -> bool:
    """Whether a stream is whole with this event."""
    return _dialect(endpoint).ends_stream(event)


def live(endpoint: str, event: Event, *, include_usage: bool, free: bool = False) -> bytes:
    """What a live caller gets of an event: b"" withholds the usage chunk from one who did not ask for it.

    Args:
        endpoint: whose dialect it is in.
        event: as the origin wrote it.
        include_usage: this caller asked for the usage chunk.
        free: `usage.cost` becomes 0, as this caller pays nothing.
    """
    dialect = _dialect(endpoint)
    piece = dialect.live(event, include_usage)
    return dialect.free(event) if free and piece else piece


def opens(endpoint: str, event: Event) -> bool:
    """Whether an event delivers nothing of the answer yet: a comment, a ping, a role."""
    return _dialect(endpoint).opens(event)


def idle(endpoint: str) -> bytes:
    """What fills a silence: a comment, or the ping that readers of the dialect know."""
    return _dialect(endpoint).idle


def spoken(endpoint: str, event: Event) -> int:
    """How many bytes of text an event of a stream adds to the answer; none of what only frames it."""
    return _dialect(endpoint).spoken(event)


def render(entry: Entry, shape: Shape, *, free: bool = True) -> Rendering | None:
    """The entry in `shape`, or None where it cannot be given so that an SDK could not tell.

    In the form that the origin wrote, an answer is what the origin sent; in the other one, values keep their
    raw text. Nothing is rendered in the other form from a stream that is not whole, from an error or from an
    answer that says something which the other form cannot.

    Args:
        entry: a stored one, or one that was refused storage and is handed to those who waited for it.
        shape: what the caller asked for.
        free: `usage.cost` becomes 0, as this caller pays nothing.
    """
    content_type = _content_type(entry, shape)
    if free:
        for cut in entry.cuts:
            if cut.shape == shape:
                return Rendering(cut.of(entry.body), content_type, cut.etag)
    body = _dialect(entry.endpoint).render(entry, shape, free)
    return None if body is None else Rendering(body, content_type, make_etag(body))


def with_cut(entry: Entry, shape: Shape, rendering: Rendering) -> Entry:
    """A new entry with the way to a rendering of it, so that later ones need not read the body.

    Args:
        entry: a new one.
        shape: how the rendering was asked for.
        rendering: made from `entry` for a caller who pays nothing.
    """
    if form_of(shape) != entry.form or not rendering.etag:
        return entry
    cut = Cut.between(shape, entry.body, rendering.body, rendering.etag)
    return entry if cut is None else replace(entry, cuts=(*entry.cuts, cut))


def usage_of(endpoint: str, *texts: bytes) -> Usage:
    """What an answer says it cost; nothing known where it says nothing.

    Args:
        endpoint: whose dialect it is in.
        texts: a body, or the first and the last event of a stream that speak of it.
    """
    dialect = DIALECTS.get(endpoint)
    return Usage() if dialect is None else dialect.usage_of(texts)


def error_event(endpoint: str, message: str, code: str) -> bytes:
    """The event that ends a stream which cannot go on; nothing that ends a whole one follows it.

    Args:
        endpoint: whose dialect the stream is in.
        message: for a developer; carries nothing of a prompt, an answer or a credential.
        code: stable word.

    Raises:
        OriginCutError: no event says so in this dialect, the connection must not end well.
    """
    write = _dialect(endpoint).error_event
    if write is None:
        raise OriginCutError(message)
    return write(message, code)


def write_chunk(endpoint: str, text: bytes, *, survives: bool) -> bytes:
    """A value of a stream as an event; one that does not survive as JSON keeps it from being stored."""
    return _dialect(endpoint).write_chunk(text, survives)


def is_chunk(endpoint: str, event: Event) -> bool:
    """Whether an event is a value for a caller who gets values."""
    return _dialect(endpoint).is_chunk(event)


def closing(endpoint: str) -> bytes:
    """What follows the last chunk of a whole stream."""
    return _dialect(endpoint).closing


def _dialect(endpoint: str) -> AnswerDialect:
    return DIALECTS.get(endpoint, GENERIC_ANSWERS)


def _content_type(entry: Entry, shape: Shape) -> bytes:
    form = form_of(shape)
    if form == "bytes":
        return entry.content_type
    return JSON if form == "json" else _SSE_FIELD


def _media_type(value: bytes) -> bytes:
    return value.partition(b";")[0].strip(b" \t").lower()
