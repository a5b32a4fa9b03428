"""What a dialect must know of its answers, so that the engine need not."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from tiered_cache.core.free import free_event, without_cost
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import Answer, Call, Entry, Refusal, Shape, Usage

COMMENT = b": waiting\n\n"
"""An SSE comment, which every reader of a stream passes over."""


JSON = b"application/json"
SSE = b"text/event-stream"


def _free(event: Event) -> bytes:
    return free_event(event, without_cost)


def _opens_nothing(event: Event) -> bool:
    del event
    return False


def _json_or_stream(call: Call, media_type: bytes) -> bool:
    return media_type == JSON or (call.stream and media_type == SSE)


class AnswerDialect(Struct, frozen=True, kw_only=True):
    """The answers of one endpoint, as pure functions. None of them raises.

    Attributes:
        accepts: whether an answer of this lower-case media type is what the call asked for.
        read_json: judge a whole body that is no stream.
        read_stream: judge a whole stream.
        ends_stream: whether a stream is whole with this event.
        render: the bytes of an entry in a shape, with `usage.cost` 0 if asked so; None where that shape
            cannot be given so that an SDK could not tell.
        spoken: how many bytes of text an event adds, by which a replay at a steady rate is timed.
        live: what a caller gets of an event as it comes; the flag says that it asked for the usage chunk.
        free: the bytes of an event for a caller who did not ask the origin: it cost nothing.
        opens: whether an event opens a stream and delivers nothing of the answer yet.
        idle: what fills a silence of ours in a stream; empty where nothing may.
        usage_of: what a body says it cost, or the first and the last event of a stream that speak of it.
        error_event: the event that ends a stream which cannot go on, for a message and a stable word; None
            where no event can say it, so that the connection has to break.
        write_chunk: one value of a stream as an event; the flag says that its JSON text stands for all of it,
            otherwise the stream must not be stored.
        is_chunk: whether an event is a value for a caller who gets values.
        closing: what follows the last chunk of a whole stream.
    """

    accepts: Callable[[Call, bytes], bool] = _json_or_stream
    read_json: Callable[[Call, bytes], Answer | Refusal]
    read_stream: Callable[[Call, Sequence[Event]], Answer | Refusal]
    ends_stream: Callable[[Event], bool]
    render: Callable[[Entry, Shape, bool], bytes | None]
    spoken: Callable[[Event], int]
    live: Callable[[Event, bool], bytes]
    usage_of: Callable[[Sequence[bytes]], Usage]
    error_event: Callable[[str, str], bytes] | None
    write_chunk: Callable[[bytes, bool], bytes]
    is_chunk: Callable[[Event], bool]
    closing: bytes
    free: Callable[[Event], bytes] = _free
    opens: Callable[[Event], bool] = _opens_nothing
    idle: bytes = COMMENT
