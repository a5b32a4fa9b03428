"""Reads a JSON messages answer, the origin's own or one assembled from a stream."""

from collections.abc import Sequence

from tiered_cache.core.accounting import picousd, token_count
from tiered_cache.core.content import find_expiry
from tiered_cache.core.messages_assembly import usage_said
from tiered_cache.core.messages_fields import CLIENT_CALL
from tiered_cache.core.messages_synthesis import fits
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    is_object,
    items,
    members,
    members_or_none,
    string,
)
from tiered_cache.core.reading import Choice, Reading
from tiered_cache.core.vocabulary import Usage

_FINISHED = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls"}
"""Stop reasons of an answer that ended by itself, as the finish reasons that every dialect's answers have.
Any other one (`max_tokens`, `pause_turn`, unknown ones) is not stored."""

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_FOUND = (b"web_search_result_location", b"web_search_tool_result", b"web_fetch_tool_result")
"""Types of blocks and citations that name what the origin looked up; other citations are of what the caller
sent."""


def read_message(answer: dict[str, bytes], aside: Sequence[tuple[str, bytes]] = ()) -> Reading:
    """What the answer says.

    Args:
        answer: members of the whole JSON answer.
        aside: what a stream said that its assembled answer lacks, by name.

    Raises:
        UnreadableError: content or one of its blocks is missing or of the wrong type.
    """
    content = answer.get("content", NULL)
    blocks = [members(block) for block in items(content)]
    expiry = find_expiry([*answer.items(), *aside])
    return Reading(
        model=string(answer.get("model")) or "",
        choices=(_choice(answer, blocks),),
        usage=read_usage(answer.get("usage")),
        has_usage=is_object(answer.get("usage", NULL)),
        cites=any(word in text for word in _FOUND for text in (content, *(value for _, value in aside))),
        expires_at_s=expiry.at_s,
        result_urls=expiry.unknown,
        fits=fits(answer),
    )


def read_usage(text: bytes | None) -> Usage:
    """Tokens and cost of a `usage` object; zero and unpriced where it does not say, whatever it is."""
    return usage_of_members(members_or_none(text))


def usage_of_members(usage: dict[str, bytes]) -> Usage:
    """The same of its members. All input is the sum of three counts (Anthropic API reference, Usage)."""
    cached = token_count(usage.get("cache_read_input_tokens"))
    written = token_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=token_count(usage.get("input_tokens")) + cached + written,
        completion_tokens=token_count(usage.get("output_tokens")),
        cached_tokens=cached,
        cost_picousd=picousd(usage.get("cost")),
    )


def usage_of_texts(texts: Sequence[bytes]) -> Usage:
    """What a body, or several events of a stream, say: a later count replaces an earlier one."""
    usage: dict[str, bytes] = {}
    for text in texts:
        usage |= usage_said(members_or_none(text))
    return usage_of_members(usage)


def _choice(answer: dict[str, bytes], blocks: list[dict[str, bytes]]) -> Choice:
    kinds = [string(block.get("type")) for block in blocks]
    if None in kinds:
        raise UnreadableError
    texts = [string(block.get("text")) for block, kind in zip(blocks, kinds, strict=True) if kind == "text"]
    if None in texts:
        raise UnreadableError
    calls = [block for block, kind in zip(blocks, kinds, strict=True) if kind == CLIENT_CALL]
    reason = string(answer.get("stop_reason"))
    return Choice(
        index=0,
        finish_reason=_FINISHED.get(reason or ""),
        text="".join(text or "" for text in texts) if texts else None,
        arguments=tuple(map(_arguments, calls)),
        calls=len(calls),
        refused=reason == "refusal",
        other=any(kind not in _THOUGHTS | {"text", CLIENT_CALL} for kind in kinds),
    )


def _arguments(call: dict[str, bytes]) -> str | None:
    """The input's JSON text; None for a call without id, name or input, which nobody can make."""
    given = call.get("input", NULL)
    named = string(call.get("name")) and string(call.get("id"))
    return given.decode() if named and is_object(given) else None
