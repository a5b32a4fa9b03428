"""What the simulated Requesty answers: a function of what matters in a call, so that a wrong answer shows."""

import json
import re
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from tiered_cache.simulation.meaning import is_sampled, meaning
from tiered_cache.simulation.prices import DEFAULT_MODEL, PriceRow, price_of

_SAYING = (
    "a cache answers at once what was paid for before and asks the origin only when it must, so equal calls "
    "cost nothing and arrive sooner while every other call passes through as it came"
)
_WORDS = tuple(_SAYING.split(" "))
_ASKED_LENGTH = re.compile(r"in about ([0-9]{1,6}) words")
_PIECE = re.compile(r"\s*\S{1,8}|\s+$")
_BYTES_PER_TOKEN = 4
_SHORTEST, _SPREAD = 16, 64
_ANY_SAMPLE = 1
"""Samples of a call differ in their number alone, which takes the same tokens up to 999,999."""


class ToolCall(Struct, frozen=True):
    """One call of a function that the answer asks the client to make; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Expected(Struct, frozen=True):
    """The answer to one call.

    Attributes:
        text: the content; empty when tools are called.
        finish_reason: `stop`, `tool_calls`, or `length` where the asked limit cuts the text.
        pieces: the tokens of the text (or of the arguments), which joined give it.
        prompt: what the tokens of the question are counted from, the same for every spelling of the call.
    """

    model: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    pieces: tuple[str, ...]
    prompt: str

    @property
    def prompt_tokens(self) -> int:
        """Tokens read."""
        return -(-len(self.prompt) // _BYTES_PER_TOKEN)

    @property
    def completion_tokens(self) -> int:
        """Tokens written."""
        return len(self.pieces)


def expected_text(body: dict[str, Any]) -> str:
    """The text (or the first tool call's arguments) that answers `body` and no other call.

    For a sampled call it is how the text begins: ` (sample k)` follows, another k for each asking.
    """
    answer = expect(body)
    return answer.tool_calls[0].arguments if answer.tool_calls else answer.text


def is_answer_to(text: str, body: dict[str, Any]) -> bool:
    """`text` answers `body`: the expected text, or a sample of it where the call is sampled."""
    expected = expected_text(body)
    return text == expected or (is_sampled(body) and text.startswith(expected.removesuffix("}")))


def expected_cost_picousd(body: dict[str, Any]) -> int:
    """Cost of the call for one choice with nothing in the provider's prompt cache, in 1e-12 USD."""
    answer = expect(body, _ANY_SAMPLE if is_sampled(body) else None)
    price = price_of(answer.model)
    return 0 if price is None else price.cost_picousd(answer.prompt_tokens, 0, answer.completion_tokens)


def expect(body: dict[str, Any], sample: int | None = None) -> Expected:
    """The answer to `body`; `sample` marks one of several answers to the same sampled call."""
    said = meaning(body)
    digest = blake2b(said.encode(), digest_size=8).hexdigest()
    tool_calls = _tool_calls(body, digest)
    text = "" if tool_calls else _text(body, digest, sample)
    pieces = tuple(_PIECE.findall(tool_calls[0].arguments if tool_calls else text))
    limit = _limit(body)
    if limit is not None and len(pieces) > limit and not tool_calls:
        pieces = pieces[:limit]
        text = "".join(pieces)
        finish_reason = "length"
    else:
        finish_reason = "tool_calls" if tool_calls else "stop"
    return Expected(model_of(body), text, tool_calls, finish_reason, pieces, said)


def model_of(body: dict[str, Any]) -> str:
    """The model that answers."""
    model = body.get("model")
    return model if isinstance(model, str) and model else DEFAULT_MODEL


def price_for(body: dict[str, Any]) -> PriceRow | None:
    """The price row of the model that answers; None for a model that is not sold."""
    return price_of(model_of(body))


def _limit(body: dict[str, Any]) -> int | None:
    limits = [body.get(name) for name in ("max_completion_tokens", "max_tokens")]
    return min((int(limit) for limit in limits if isinstance(limit, int | float)), default=None)


def _text(body: dict[str, Any], digest: str, sample: int | None) -> str:
    text = f"[{digest}] " + " ".join(_words(digest, _length(body, digest)))
    text += "."
    if _wants_json(body):
        marked: dict[str, object] = {"answer": text}
        return json.dumps(marked if sample is None else {**marked, "sample": sample})
    return text if sample is None else f"{text} (sample {sample})"


def _wants_json(body: dict[str, Any]) -> bool:
    match body.get("response_format"):
        case {"type": "json_object" | "json_schema"}:
            return True
        case _:
            return False


def _length(body: dict[str, Any], digest: str) -> int:
    """As many words as the last message asks for ("in about 40 words"), else a number of the call's own."""
    messages = body.get("messages")
    last = json.dumps(messages[-1], ensure_ascii=False) if isinstance(messages, list) and messages else ""
    asked = _ASKED_LENGTH.search(last)
    return int(asked[1]) if asked else _SHORTEST + int(digest[:4], 16) % _SPREAD


def _words(digest: str, count: int) -> list[str]:
    start = int(digest[4:8], 16)
    return [_WORDS[(start + at) % len(_WORDS)] for at in range(count)]


def _tool_calls(body: dict[str, Any], digest: str) -> tuple[ToolCall, ...]:
    """A model with tools calls one when a user spoke last, and writes text when a tool did."""
    functions = _functions(body)
    if not functions or body.get("tool_choice") == "none" or body["messages"][-1].get("role") == "tool":
        return ()
    function = _chosen(functions, body.get("tool_choice"))
    return (ToolCall(f"call_{digest}", function["name"], json.dumps(_arguments(function, digest))),)


def _functions(body: dict[str, Any]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] | None = body.get("tools")
    return [] if tools is None else [tool["function"] for tool in tools if tool.get("type") == "function"]


def _chosen(functions: list[dict[str, Any]], choice: Any) -> dict[str, Any]:
    match choice:
        case {"type": "function", "function": {"name": name}}:
            return next((function for function in functions if function["name"] == name), functions[0])
        case _:
            return functions[0]


def _arguments(function: dict[str, Any], digest: str) -> dict[str, Any]:
    """A value of the right type for each property, recognisable where it is a string."""
    schema: dict[str, Any] = function.get("parameters") or {}
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    return {name: _sample(str(asked.get("type")), digest) for name, asked in properties.items()}


def _sample(kind: str, digest: str) -> Any:
    number = int(digest[:3], 16)
    values: dict[str, Any] = {
        "integer": number,
        "number": number / 8,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return values.get(kind, f"of {digest}")
