"""Judges what an origin answered to a completions call, and gives it in every shape."""

from collections.abc import Sequence

from tiered_cache.core.chat_answers import in_chunks
from tiered_cache.core.chat_reading import names_sources, read_usage
from tiered_cache.core.chat_rendering import Chunks
from tiered_cache.core.chat_synthesis import DONE, by_index, fits, repeated
from tiered_cache.core.completions_fields import CHOICE, CHUNK
from tiered_cache.core.content import find_expiry
from tiered_cache.core.raw_json import NULL, integer, is_object, objects, string, write
from tiered_cache.core.reading import Choice, Reading
from tiered_cache.core.sse import on_one_line, write_event
from tiered_cache.core.storable import why_not
from tiered_cache.core.vocabulary import Call

_ONCE = ("prompt_filter_results",)
_PIECE = ("text", "index", "logprobs")
_END = {"text": b'""', "logprobs": NULL}
"""What the last chunk of a choice says of the text."""


def _read(answer: dict[str, bytes], aside: Sequence[tuple[str, bytes]]) -> Reading:
    """What the answer says. Raises UnreadableError: choices are missing or of the wrong type."""
    usage, said = answer.get("usage", NULL), [*answer.items(), *aside]
    expiry = find_expiry(said)
    return Reading(
        model=string(answer.get("model")) or "",
        choices=tuple(map(_choice, objects(answer.get("choices", NULL)))),
        usage=read_usage(usage),
        has_usage=is_object(usage),
        cites=names_sources(said),
        expires_at_s=expiry.at_s,
        result_urls=expiry.unknown,
        fits=fits(answer, CHUNK),
    )


def _choice(choice: dict[str, bytes]) -> Choice:
    return Choice(
        index=integer(choice.get("index")),
        finish_reason=string(choice.get("finish_reason")),
        text=string(choice.get("text")),
    )


def _why_not(call: Call, reading: Reading) -> str | None:
    """As for chat, but that `stop` alone is the end of a text."""
    word = why_not(call, reading)
    if word is None and any(choice.finish_reason != "stop" for choice in reading.choices):
        return "finish-reason"
    return word


def _synthesise(answer: dict[str, bytes], include_usage: bool) -> bytes:
    """The answer as an event stream: of each choice its text, then its end. Raises UnreadableError."""
    head = repeated(answer, CHUNK, b'"text_completion"', _ONCE)
    bodies = [
        {"choices": b"[%b]" % write(part)}
        for choice in by_index(answer.get("choices", NULL))
        for part in _parts(choice)
    ]
    if bodies:
        bodies[0] |= {name: answer[name] for name in _ONCE if name in answer}
    if include_usage:
        bodies.append({"choices": b"[]", "usage": answer["usage"]})
    return b"".join([write_event(on_one_line(write(head | body))) for body in bodies]) + DONE


def _parts(choice: dict[str, bytes]) -> list[dict[str, bytes]]:
    said = {name: choice[name] for name in CHOICE.by_name if name in choice and name != "error"}
    piece = {name: value for name, value in said.items() if name in _PIECE}
    end = {name: _END.get(name, value) for name, value in said.items()}
    return [piece | {"finish_reason": NULL}, end]


COMPLETIONS_ANSWERS = in_chunks(Chunks(CHUNK, _synthesise), _read, _why_not)
"""The answers of completions."""
