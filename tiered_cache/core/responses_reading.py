"""Reads a whole response object, the body of an answer or of the last event of a stream."""

from msgspec.structs import replace

from tiered_cache.core.content import find_expiry
from tiered_cache.core.raw_json import NULL, is_object, items, members, parses, string
from tiered_cache.core.reading import Choice, Reading
from tiered_cache.core.responses_fields import (
    CALL_ITEMS,
    ORIGIN_ITEMS,
    SAYS_NOTHING,
    SEARCH_ITEM,
    USAGE,
)
from tiered_cache.core.responses_synthesis import fits
from tiered_cache.core.storable import why_not
from tiered_cache.core.usage import usage_named
from tiered_cache.core.vocabulary import Call, Usage

_EMPTY = frozenset({NULL, b"[]", b"{}", b'""'})
_WHOLE = frozenset({None, "completed"})
_COMMENTARY = "commentary"


class Said(Reading, frozen=True):
    """One whole answer, as far as this dialect asks more of it than the others do.

    Attributes:
        texts: each text of the answer proper, without commentary on the way to it.
        by_origin: it tells of a tool that the origin executed.
    """

    texts: tuple[str, ...]
    by_origin: bool


def read_response(answer: dict[str, bytes]) -> Said:
    """What the answer says.

    Args:
        answer: members of the response object.

    Raises:
        UnreadableError: output, an item of it or a message's content is missing or of the wrong type.
    """
    output = [members(item) for item in items(answer.get("output", NULL))]
    parts = [part for item in output for part in _parts(item)]
    usage = answer.get("usage", NULL)
    # Of the output alone: the rest repeats the request.
    expiry = find_expiry([("output", answer["output"])])
    texts = [_text(part) for item in output if _is_proper(item) for part in _parts(item)]
    return Said(
        model=string(answer.get("model")) or "",
        choices=(_choice(answer, output, parts),),
        usage=read_usage(usage),
        has_usage=is_object(usage),
        cites=_cites(output, parts),
        expires_at_s=expiry.at_s,
        result_urls=expiry.unknown,
        fits=fits(answer),
        texts=tuple([text for text in texts if text is not None]),
        by_origin=any(_kind(item) in ORIGIN_ITEMS for item in output),
    )


def read_usage(text: bytes | None) -> Usage:
    """Tokens and cost of a `usage` object."""
    return usage_named(text, USAGE)


def why_not_stored(call: Call, said: Said) -> str | None:
    """The reason word why this answer is not stored, or None: those of all dialects, and `origin-tool`."""
    if said.by_origin:
        return "origin-tool"
    detail = why_not(replace(call, json_output=False), said)
    # Every text for itself: an answer may have several, and SDKs parse each.
    if detail is None and call.json_output and not _is_json(said):
        return "bad-json"
    return detail


def _is_json(said: Said) -> bool:
    """A tool call may take the place of the JSON that was asked for."""
    if not said.texts:
        return said.choices[0].calls > 0
    return all(map(parses, said.texts))


def _kind(item: dict[str, bytes]) -> str:
    return string(item.get("type")) or ""


def _parts(item: dict[str, bytes]) -> list[dict[str, bytes]]:
    """The parts of a message; other items have none that answer."""
    if _kind(item) != "message":
        return []
    return [members(part) for part in items(item.get("content", NULL))]


def _is_proper(item: dict[str, bytes]) -> bool:
    return string(item.get("phase")) != _COMMENTARY


def _text(part: dict[str, bytes]) -> str | None:
    return string(part.get("text")) if _kind(part) == "output_text" else None


def _choice(
    answer: dict[str, bytes], output: list[dict[str, bytes]], parts: list[dict[str, bytes]]
) -> Choice:
    texts = [text for text in map(_text, parts) if text is not None]
    return Choice(
        index=0,
        finish_reason=_finish_reason(answer, output),
        text="".join(texts),
        arguments=tuple([_arguments(item) for item in output if _kind(item) == "function_call"]),
        calls=sum(_kind(item) in CALL_ITEMS for item in output),
        refused=any(_kind(part) == "refusal" for part in parts),
        other=any(map(_is_other, output)),
    )


def _finish_reason(answer: dict[str, bytes], output: list[dict[str, bytes]]) -> str | None:
    """`stop` for what ended by itself, the status of what did not."""
    status = string(answer.get("status"))
    if status != "completed" or answer.get("incomplete_details", NULL) != NULL:
        return "incomplete" if status == "completed" else status
    states = [string(item.get("status")) for item in output]
    return next((state for state in states if state not in _WHOLE), "stop")


def _arguments(item: dict[str, bytes]) -> str | None:
    """The arguments' JSON text; None for a call without name or arguments, which nobody can make."""
    return string(item.get("arguments")) if string(item.get("name")) else None


def _is_other(item: dict[str, bytes]) -> bool:
    """Content that is neither text nor a call, in an item that is not known."""
    return _kind(item) not in {"message", *CALL_ITEMS, *SAYS_NOTHING}


def _cites(output: list[dict[str, bytes]], parts: list[dict[str, bytes]]) -> bool:
    """Whether the origin looked something up."""
    if any(_kind(item) == SEARCH_ITEM for item in output):
        return True
    return any(part.get("annotations", NULL) not in _EMPTY for part in parts)
