"""Writes the simulated Requesty's answers: the JSON body and the events of a stream."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from tiered_cache.core.accounting import usd_text
from tiered_cache.simulation.answers import Expected
from tiered_cache.simulation.behaviour import Failure
from tiered_cache.simulation.prices import PriceRow

DONE = b"data: [DONE]\n\n"
_FINGERPRINT = "fp_simulated"


class Bill(Struct, frozen=True):
    """What one call used and cost (1e-12 USD)."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_picousd: int

    def usage(self) -> dict[str, Any]:
        """The `usage` object as Requesty writes it; the cost keeps every digit."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "cost": msgspec.Raw(usd_text(self.cost_picousd)),
        }


class Completion(Struct, frozen=True):
    """One answer about to be written.

    Attributes:
        choices: one per asked choice, in order.
        created_s: whole seconds since the epoch.
        cached_tokens: part of the prompt that was in the provider's prompt cache.
    """

    id: str
    created_s: int
    choices: tuple[Expected, ...]
    cached_tokens: int
    price: PriceRow

    @property
    def completion_tokens(self) -> int:
        """Tokens of all choices."""
        return sum(answer.completion_tokens for answer in self.choices)

    def bill(self, written: int | None = None) -> Bill:
        """What it costs, whole or when only `written` tokens of it were."""
        tokens = self.completion_tokens if written is None else written
        read = self.choices[0].prompt_tokens
        cost_picousd = self.price.cost_picousd(read, self.cached_tokens, tokens)
        return Bill(read, self.cached_tokens, tokens, cost_picousd)

    def json(self) -> bytes:
        """The body of a `stream: false` answer."""
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(self.choices)
        ]
        head = self._head("chat.completion")
        return msgspec.json.encode({**head, "choices": choices, "usage": self.bill().usage()})

    def events(self, chunk_tokens: int, *, include_usage: bool) -> Iterator[tuple[int, bytes]]:
        """The events of a `stream: true` answer, each with how many tokens it carries."""
        usage: dict[str, Any] = {"usage": None} if include_usage else {}
        for index, answer in enumerate(self.choices):
            for tokens, delta in _deltas(answer, chunk_tokens):
                yield tokens, self._event([_choice(index, delta, None)], usage)
            yield 0, self._event([_choice(index, {}, answer.finish_reason)], usage)
        if include_usage:
            yield 0, self._event([], {"usage": self.bill().usage()})
        yield 0, DONE

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> bytes:
        return event({**self._head("chat.completion.chunk"), "choices": choices, **usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created_s,
            "model": self.choices[0].model,
            "system_fingerprint": _FINGERPRINT,
        }


def event(data: object) -> bytes:
    """One server-sent event with JSON data."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def error_event(failure: Failure) -> bytes:
    """A failure inside a stream that began with 200."""
    return b"data: " + failure.body + b"\n\n"


def _message(answer: Expected) -> dict[str, Any]:
    if not answer.tool_calls:
        return {"role": "assistant", "content": answer.text, "refusal": None}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in answer.tool_calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, "refusal": None}


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _deltas(answer: Expected, chunk_tokens: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The role first, then the text or the arguments a few tokens at a time."""
    if answer.tool_calls:
        call = answer.tool_calls[0]
        opening = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield 0, {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **opening}]}
    else:
        yield 0, {"role": "assistant", "content": "", "refusal": None}
    for start in range(0, len(answer.pieces), chunk_tokens):
        tokens = answer.pieces[start : start + chunk_tokens]
        text = "".join(tokens)
        if answer.tool_calls:
            yield len(tokens), {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        else:
            yield len(tokens), {"content": text}
