"""A row of a trace as a real chat call in one of several spellings, and the answer an origin gives to it."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from tiered_cache.core.vocabulary import Request, Response
from tiered_cache.simulation.traces import Row

ENDPOINT = "chat/completions"
MODEL = "openai/gpt-4o-2024-11-20"
_JSON_HEADERS = ((b"content-type", b"application/json"),)


class OriginModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated origin does with a call: parameters of the replay, stated in its report.

    Attributes:
        first_token_s, per_token_s: time to the first token and per further one, of the order that Splitwise
            (arXiv:2311.18677) reports for a 70B model. They decide which repeats overlap, not how many.
        input_picousd, output_picousd: price of one token; the defaults are 2.50 and 10 USD per million.
        bytes_per_token: how long the answers are; English text has about 4 bytes a token.
    """

    first_token_s: float = 0.1
    per_token_s: float = 0.03
    input_picousd: int = 2_500_000
    output_picousd: int = 10_000_000
    bytes_per_token: int = 4

    def cost_picousd(self, row: Row) -> int:
        """What the origin charges for this row, in 1e-12 USD."""
        return row.prompt_tokens * self.input_picousd + row.output_tokens * self.output_picousd

    def latency_s(self, row: Row) -> float:
        """How long the origin takes to write the whole answer."""
        return self.first_token_s + row.output_tokens * self.per_token_s


class TraceOrigin:
    """The origin of a replay: sleeps as long as the answer takes to write, then sends it."""

    def __init__(self, model: OriginModel) -> None:
        self._model = model
        self.calls = 0
        self.spent_picousd = 0

    async def answer(self, row: Row, _request: Request) -> Response:
        """The whole JSON answer to `row`."""
        self.calls += 1
        self.spent_picousd += self._model.cost_picousd(row)
        await asyncio.sleep(self._model.latency_s(row))
        return Response(200, _JSON_HEADERS, answer_body(row, self._model))


def marker(row: Row) -> bytes:
    """What every answer to a call equal to `row` contains as JSON text, and no other answer does."""
    return msgspec.json.encode(f"[{row.tenant}#{row.key_id}]")[1:-1]


def answer_body(row: Row, model: OriginModel) -> bytes:
    """A chat completion with the row's tokens, its length and its cost."""
    opening = f"[{row.tenant}#{row.key_id}]"
    text = opening + "x" * (row.output_tokens * model.bytes_per_token - len(opening))
    usage = {
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.output_tokens,
        "total_tokens": row.prompt_tokens + row.output_tokens,
        "cost": msgspec.Raw(_usd(model.cost_picousd(row))),
    }
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{row.key_id}",
            "object": "chat.completion",
            "created": 1_700_000_000 + row.ts_ms // 1000,
            "model": MODEL,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
            ],
            "usage": usage,
        },
    )


def _usd(cost_picousd: int) -> bytes:
    """Exact decimal dollars: no float on the way."""
    whole, fraction = divmod(cost_picousd, 10**12)
    return f"{whole}.{fraction:012d}".encode()


def call_body(row: Row, randomness: random.Random) -> bytes:
    """The row's call as some client would spell it; every spelling has one canonical form."""
    prompt = f"Call n° {row.key_id} of the trace."
    return randomness.choice(_SPELLINGS)(prompt)


def _compact(prompt: str) -> bytes:
    """As the Python SDKs send it."""
    return msgspec.json.encode({"model": MODEL, "messages": [_user(prompt)], "temperature": 0.0})


def _other_order(prompt: str) -> bytes:
    return msgspec.json.encode(
        {"temperature": 0, "messages": [{"content": prompt, "role": "user"}], "model": MODEL}
    )


def _escaped(prompt: str) -> bytes:
    """As the standard library writes it: blanks, non-ASCII letters escaped."""
    return json.dumps({"model": MODEL, "temperature": 0, "messages": [_user(prompt)]}).encode()


def _indented(prompt: str) -> bytes:
    call = {"model": MODEL, "messages": [_user(prompt)], "temperature": 0, "stream": False, "n": 1}
    return json.dumps(call, indent=2, ensure_ascii=False).encode()


def _one_part(prompt: str) -> bytes:
    return msgspec.json.encode(
        {
            "model": MODEL,
            "messages": [_user([{"type": "text", "text": prompt}])],
            "temperature": 0,
            "user": "somebody",
        },
    )


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


_SPELLINGS: tuple[Callable[[str], bytes], ...] = (_compact, _other_order, _escaped, _indented, _one_part)
