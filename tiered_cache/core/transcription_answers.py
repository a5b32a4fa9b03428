"""Judges what an origin answered to a transcriptions call: JSON or text, kept byte for byte."""

from collections.abc import Sequence

from msgspec.structs import replace

from tiered_cache.core.free import without_cost
from tiered_cache.core.raw_json import NULL, UnreadableError, check, is_string, members, members_or_none
from tiered_cache.core.speech_answers import SPEECH_ANSWERS, audio_usage
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import Answer, Call, ContentClass, Entry, Refusal, Shape, Usage

TEXT_TYPES = frozenset({b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip", b"application/srt"})
"""Media types of transcripts that are no JSON, lower-case."""

_JSON = b"application/json"


def _accepts(call: Call, media_type: bytes) -> bool:
    return media_type == _JSON if call.json_output else media_type in TEXT_TYPES


def _read(call: Call, body: bytes) -> Answer | Refusal:
    """Judge a whole transcript.

    Refused with `bad-json`, `error-body`, `schema` (JSON without a text), `empty` (no text, or none that is
    UTF-8).
    """
    usage = audio_usage([body]) if call.json_output else Usage()
    detail = _why_not_json(body) if call.json_output else _why_not_text(body)
    if detail is not None:
        return Refusal(detail, usage)
    return Answer(
        form="bytes",
        body=body,
        locked=True,
        has_usage=False,
        content_class=ContentClass.GENERIC,
        model="",
        usage=usage,
        # A transcript does not say which of several models wrote it.
        short_lived=bool(call.fallback_models),
    )


def _why_not_json(body: bytes) -> str | None:
    try:
        check(body)
        answer = members(body)
    except UnreadableError:
        return "bad-json"
    if answer.get("error", NULL) != NULL:
        return "error-body"
    return None if is_string(answer.get("text", NULL)) else "schema"


def _why_not_text(body: bytes) -> str | None:
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return "empty"
    if text.startswith("{") and members_or_none(body).get("error", NULL) != NULL:
        return "error-body"  # told under the media type of the text that was asked for
    return None if text else "empty"


def _render(entry: Entry, shape: Shape, free: bool) -> bytes | None:
    if shape != "bytes" or entry.form != "bytes":
        return None
    is_json = entry.content_type.lower().startswith(_JSON)
    return without_cost(entry.body) if free and is_json else entry.body


def _no_stream(call: Call, events: Sequence[Event]) -> Refusal:
    del call, events
    return Refusal("media-type")


TRANSCRIPTION_ANSWERS = replace(
    SPEECH_ANSWERS, accepts=_accepts, read_json=_read, read_stream=_no_stream, render=_render
)
"""The answers of transcriptions: whole, so that of speech's streams only their silence is left."""
