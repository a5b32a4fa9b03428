"""Judges what an origin answered to a speech call: a recording, kept byte for byte with its media type."""

from collections.abc import Sequence

from tiered_cache.core.chat_answers import CHAT_ANSWERS
from tiered_cache.core.dialect import AnswerDialect
from tiered_cache.core.raw_json import members_or_none
from tiered_cache.core.sse import Event
from tiered_cache.core.usage import UsageNames, usage_named
from tiered_cache.core.vocabulary import Answer, Call, ContentClass, Entry, Refusal, Shape, Usage

_USAGE = UsageNames("input_tokens", "output_tokens", "input_tokens_details")
_MARGIN_BYTES = 16
"""How far into a body its first brace is looked for."""


def is_recording(media_type: bytes) -> bool:
    """Whether a lower-case media type is one of bytes that are played; JSON with status 200 is an error."""
    return media_type.startswith(b"audio/") or media_type == b"application/octet-stream"


def audio_usage(texts: Sequence[bytes]) -> Usage:
    """What a JSON text of an audio route says of tokens; a recording says nothing."""
    return usage_named(members_or_none(texts[-1]).get("usage"), _USAGE) if texts else Usage()


def _no_json(call: Call, body: bytes) -> Refusal:
    del call, body
    return Refusal("media-type")


def _read_pieces(call: Call, pieces: Sequence[Event]) -> Answer | Refusal:
    """Judge a whole recording. Refused with `empty`, and with `error-body` where it is a JSON object.

    Some origins send the media type of the recording before they fail.
    """
    body = b"".join([piece.raw for piece in pieces])
    if not body:
        return Refusal("empty")
    if body[:_MARGIN_BYTES].lstrip()[:1] == b"{" and members_or_none(body):
        return Refusal("error-body")
    return Answer(
        form="bytes",
        body=body,
        locked=True,
        has_usage=False,
        content_class=ContentClass.GENERIC,
        model="",
        usage=Usage(),
        # Nothing in a recording says which of several models spoke.
        short_lived=bool(call.fallback_models),
    )


def _render(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    del free
    return entry.body if shape == entry.form == "bytes" else None


def _as_it_came(piece: Event, include_usage: bool) -> bytes:
    del include_usage
    return piece.raw


def _weighs_nothing(piece: Event) -> int:
    del piece
    return 0


def _never_ends(piece: Event) -> bool:
    del piece
    return False


def _accepts(call: Call, media_type: bytes) -> bool:
    del call
    return is_recording(media_type)


SPEECH_ANSWERS = AnswerDialect(
    accepts=_accepts,
    read_json=_no_json,
    read_stream=_read_pieces,
    ends_stream=_never_ends,
    render=_render,
    spoken=_weighs_nothing,
    live=_as_it_came,
    usage_of=audio_usage,
    error_event=None,
    # Calls on values get the JSON of an error, or nothing that is stored.
    write_chunk=CHAT_ANSWERS.write_chunk,
    is_chunk=CHAT_ANSWERS.is_chunk,
    closing=CHAT_ANSWERS.closing,
    idle=b"",
)
"""The answers of speech: nothing may be put into a recording, not even an error or a comment."""
