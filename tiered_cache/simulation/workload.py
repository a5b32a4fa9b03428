"""A seeded generator of chat calls as several applications would send them, and the same from a trace."""

import random
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from tiered_cache.simulation.meaning import is_sampled
from tiered_cache.simulation.popularity import REPEAT_SHARE, arrivals
from tiered_cache.simulation.spelling import SPELLINGS, vary
from tiered_cache.simulation.traces import Row

_BYTES_PER_TOKEN = 4
_TOPICS = (
    "How do I return an order from München & Köln?",
    "Summarise the café's opening hours.",
    "Is item № 12 < 30 € in stock?",
    "Traduis « bonjour » en japonais (こんにちは).",
    "Which plan fits a team of five?",
    "Why was my card declined? 😕",
)
_SYSTEM = (
    "You are the shop's assistant. Be brief.",
    "You help travellers. Answer politely.",
    "You are a careful analyst.",
)
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look an order up.",
        "parameters": {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "order": {"type": "integer", "minimum": 1}},
            "required": ["reason", "order"],
        },
    },
}


class Mix(Struct, frozen=True, kw_only=True):
    """The workload's parameters.

    From mix_azureconv_x_web07 (Azure's arrival times and tokens, a shop's order of keys): `repeat_share` and
    the gaps between repeats. Answers there have 161 tokens in the median: `median_words` is less so that a
    demonstration stays brief. The other shares are ours: no public trace tells them.

    Attributes:
        rate_per_s: arrivals per second, over all tenants.
        repeat_share: calls that were asked before by the same tenant.
        tenants: API keys in use; the first has half of the calls, the second a quarter, and so on.
        median_words: of an answer; the spread is log-normal as the trace's (p90 is 2.7 times the median).
        unstated, sampled: calls without a temperature, and with 0.7; the others say 0.
        tools: calls that offer a tool. streams: calls that want a stream; usage: streams that ask for usage.
    """

    rate_per_s: float = 20.0
    repeat_share: float = REPEAT_SHARE
    tenants: int = 2
    median_words: int = 50
    unstated: float = 0.2
    sampled: float = 0.1
    tools: float = 0.1
    streams: float = 0.5
    usage: float = 0.5


class PlannedCall(Struct, frozen=True):
    """One call to make.

    Attributes:
        at_s: when, in seconds from the start.
        tenant: whose key, from 0.
        body: arguments of `chat.completions.create`.
        sdk: whose spelling the bytes get, a name of `SPELLINGS`.
        repeat: this tenant asked an equal call before.
    """

    at_s: float
    tenant: int
    body: dict[str, Any]
    sdk: str
    repeat: bool

    @property
    def reusable(self) -> bool:
        """A perfect cache could answer it without the origin."""
        return self.repeat and not is_sampled(self.body)


def planned_calls(mix: Mix, seed: int) -> Iterator[PlannedCall]:
    """Calls without end, the same for the same `mix` and `seed`."""
    noise = random.Random(f"noise {seed}")  # noqa: S311  # a workload, not security
    order = random.Random(f"order {seed}")  # noqa: S311  # likewise
    for arrival in arrivals(mix.rate_per_s, mix.repeat_share, order):
        about = random.Random(f"call {seed} {arrival.number}")  # noqa: S311  # likewise
        tenant = _tenant(mix, about)
        body = _question(mix, arrival.number, about)
        yield _spelled(mix, arrival.at_s, tenant, body, noise, repeat=arrival.repeat)


def trace_calls(rows: Iterable[Row], mix: Mix, seed: int) -> Iterator[PlannedCall]:
    """A trace's rows as calls at their own times: prompts as long as the row says, answers likewise.

    Equal keys of a tenant are equal calls, so the answer's length is that of the key's first row.
    """
    noise = random.Random(f"noise {seed}")  # noqa: S311  # a workload, not security
    tenants: dict[str, int] = {}
    known: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows:
        tenant = tenants.setdefault(row.tenant, len(tenants))
        key = (tenant, row.key_id)
        repeat = key in known
        body = known[key] = known[key] if repeat else _traced(row)
        yield _spelled(mix, row.ts_ms / 1000, tenant, body, noise, repeat=repeat)


def _tenant(mix: Mix, about: random.Random) -> int:
    """Part of the call itself: a repeat is the same tenant's."""
    tenant = 0
    while tenant < mix.tenants - 1 and about.random() < 0.5:
        tenant += 1
    return tenant


def _question(mix: Mix, number: int, about: random.Random) -> dict[str, Any]:
    words = max(4, round(about.lognormvariate(0, 0.78) * mix.median_words))
    text = f"{about.choice(_TOPICS)} (case {number}) Answer in about {words} words."
    body: dict[str, Any] = {
        "model": about.choice(
            ("openai/gpt-4o-mini", "openai/gpt-4o-2024-11-20", "mistral/mistral-small-latest")
        ),
        "messages": [
            {"role": "system", "content": about.choice(_SYSTEM)},
            {"role": "user", "content": text},
        ],
    }
    luck = about.random()
    if luck >= mix.unstated:
        body["temperature"] = 0.7 if luck < mix.unstated + mix.sampled else 0
    if about.random() < mix.tools:
        body["tools"] = [_TOOL]
    if about.random() < 0.2:
        body["stop"] = "END"
    return body


def _traced(row: Row) -> dict[str, Any]:
    asked = f"Answer in about {row.output_tokens} words."
    filler = blake2b(f"{row.key_id}".encode(), digest_size=32).hexdigest() + " "
    length = row.prompt_tokens * _BYTES_PER_TOKEN
    text = f"Call {row.key_id}: " + filler * (length // len(filler)) + asked
    return {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
    }


def _spelled(
    mix: Mix, at_s: float, tenant: int, body: dict[str, Any], noise: random.Random, *, repeat: bool
) -> PlannedCall:
    spelled = vary(body, noise)
    if noise.random() < mix.streams:
        spelled["stream"] = True
        if noise.random() < mix.usage:
            spelled["stream_options"] = {"include_usage": True}
    return PlannedCall(at_s, tenant, spelled, noise.choice(list(SPELLINGS)), repeat)
