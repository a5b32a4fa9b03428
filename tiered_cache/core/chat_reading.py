"""Reads a JSON chat answer, the origin's own or one assembled from a stream."""

from collections.abc import Sequence

from tiered_cache.core.chat_synthesis import fits
from tiered_cache.core.content import find_expiry
from tiered_cache.core.raw_json import (
    NULL,
    integer,
    is_object,
    is_string,
    items,
    members,
    members_or_none,
    string,
)
from tiered_cache.core.reading import Choice, Reading
from tiered_cache.core.usage import UsageNames, usage_named
from tiered_cache.core.vocabulary import Usage

_USAGE = UsageNames("prompt_tokens", "completion_tokens", "prompt_tokens_details")
_EMPTY = frozenset({NULL, b"[]", b"{}", b'""'})
_SOURCES = frozenset({"annotations", "citations", "search_results"})


def read_chat(answer: dict[str, bytes], aside: Sequence[tuple[str, bytes]] = ()) -> Reading:
    """What the answer says.

    Args:
        answer: members of the whole JSON answer.
        aside: what a stream said that its assembled answer lacks, by name.

    Raises:
        UnreadableError: choices, messages or tool calls are missing or of the wrong type.
    """
    usage = answer.get("usage", NULL)
    choices = [members(choice) for choice in items(answer.get("choices", NULL))]
    messages = [members(choice.get("message", NULL)) for choice in choices]
    expiry = find_expiry([*answer.items(), *aside])
    return Reading(
        model=string(answer.get("model")) or "",
        choices=tuple(map(_choice, choices, messages)),
        usage=read_usage(usage),
        has_usage=is_object(usage),
        cites=_cites(answer, messages, aside),
        expires_at_s=expiry.at_s,
        result_urls=expiry.unknown or _sounds_for_unknown_time(messages, aside),
        fits=fits(answer),
    )


def read_usage(text: bytes | None) -> Usage:
    """Tokens and cost of a `usage` object; zero and unpriced where it does not say, whatever it is."""
    return usage_named(text, _USAGE)


def _choice(choice: dict[str, bytes], message: dict[str, bytes]) -> Choice:
    content = message.get("content", NULL)
    calls = _calls(message)
    return Choice(
        index=integer(choice.get("index")),
        finish_reason=string(choice.get("finish_reason")),
        text=string(content),
        # What a custom tool is given is free text.
        arguments=tuple(_arguments(call) for call in calls if "custom" not in call),
        calls=len(calls),
        refused=message.get("refusal", NULL) not in _EMPTY,
        other=_speaks(message) or _shows(message) or not (is_string(content) or content in _EMPTY),
    )


def _calls(message: dict[str, bytes]) -> list[dict[str, bytes]]:
    """Every tool call, the older single `function_call` among them."""
    listed = message.get("tool_calls", NULL)
    calls = [] if listed == NULL else [members(call) for call in items(listed)]
    single = message.get("function_call", NULL)
    return calls if single == NULL else [*calls, {"function": single}]


def _arguments(call: dict[str, bytes]) -> str | None:
    """The arguments' JSON text; None for a call without name or arguments, which nobody can make."""
    function = members_or_none(call.get("function"))
    return string(function.get("arguments")) if string(function.get("name")) else None


def _cites(
    answer: dict[str, bytes], messages: list[dict[str, bytes]], aside: Sequence[tuple[str, bytes]]
) -> bool:
    """Whether the answer names sources, at its top or in a message."""
    said = [*answer.items(), *aside]
    for message in messages:
        said += message.items()
    return names_sources(said)


def names_sources(said: Sequence[tuple[str, bytes]]) -> bool:
    """Whether some of these fields name what the origin looked up."""
    return any(name in _SOURCES and value not in _EMPTY for name, value in said)


def _sounds_for_unknown_time(messages: list[dict[str, bytes]], aside: Sequence[tuple[str, bytes]]) -> bool:
    """Whether there is audio, whose id the origin forgets some time, that does not state when."""
    sounds = [("audio", message["audio"]) for message in messages if _speaks(message)]
    said = [(name, value) for name, value in aside if name == "audio"]
    return bool(sounds) and find_expiry([*sounds, *said]).at_s is None


def _speaks(message: dict[str, bytes]) -> bool:
    """Whether there is audio."""
    return message.get("audio", NULL) not in _EMPTY


def _shows(message: dict[str, bytes]) -> bool:
    """Whether there are images that the model made."""
    return message.get("images", NULL) not in _EMPTY
