"""Says when each event of a stored stream goes out: at once, as the origin timed it, or at a steady rate."""

from itertools import accumulate
from typing import NamedTuple

from tiered_cache.core.answers import live, spoken
from tiered_cache.core.replay import Replay, TokenRate, read_timing
from tiered_cache.core.sse import Event, read_events
from tiered_cache.core.vocabulary import Entry, Shape

_BYTES_PER_TOKEN = 4
"""What a token is taken for where the origin did not count them."""


class Step(NamedTuple):
    """Some of a body and when it goes out.

    Attributes:
        offset_s: seconds after the first step, whose offset is 0; never less than that of the step before.
        end: bytes of the body that have gone out then.
    """

    offset_s: float
    end: int


def pace(entry: Entry, shape: Shape, body: bytes, replay: Replay) -> tuple[Step, ...]:
    """The steps in which `body` goes out, the last of which ends it. One step where there is nothing to pace.

    Args:
        entry: whose rendering it is.
        shape: a stream's.
        body: the rendering in that shape.
        replay: how fast. `as-recorded` paces what the origin streamed; an answer that it gave as JSON, or
            that was stored without its timing, goes out at once. A rate apportions the answer's completion
            tokens over the bytes of its text, as nobody knows where one token ends; it counts from the first
            piece of text, so that a text in one piece goes out at once.
    """
    events, rest = read_events(body)
    if replay == "instant" or not events:
        return (Step(0.0, len(body)),)
    if isinstance(replay, TokenRate):
        offsets_s = _steady(entry, events, replay.tokens_per_s)
    else:
        offsets_s = _as_recorded(entry, shape, len(events))
    ends = [*accumulate(len(event.raw) for event in events)]
    ends[-1] += len(rest)
    return _merged(offsets_s, ends)


def _merged(offsets_s: list[float], ends: list[int]) -> tuple[Step, ...]:
    """One step for all events of one instant: of equal offsets the last end counts."""
    return tuple([Step(*pair) for pair in dict(zip(offsets_s, ends, strict=True)).items()])


def _as_recorded(entry: Entry, shape: Shape, count: int) -> list[float]:
    """Offsets of `count` events of a shape; what this shape withholds leaves its time to what follows."""
    gaps_ms = read_timing(entry.timing)
    given = [True] * count if len(gaps_ms) == count else _given(entry, shape)
    if not gaps_ms or sum(given) != count:
        return [0.0] * count
    instants_ms = [*accumulate(gaps_ms[: len(given)] + (0,) * (len(given) - len(gaps_ms)))]
    shown_ms = [at_ms for at_ms, shown in zip(instants_ms, given, strict=True) if shown]
    return [(at_ms - shown_ms[0]) / 1000 for at_ms in shown_ms]


def _given(entry: Entry, shape: Shape) -> list[bool]:
    """Which of the stored events a caller of this shape gets."""
    include_usage = shape == "sse+usage"
    events, _ = read_events(entry.body)
    return [bool(live(entry.endpoint, event, include_usage=include_usage)) for event in events]


def _steady(entry: Entry, events: list[Event], tokens_per_s: float) -> list[float]:
    """An event goes out when its text is spoken; the first text is at once, what has none goes with it."""
    weights = [spoken(entry.endpoint, event) for event in events]
    total = sum(weights)
    if total == 0:
        return [0.0] * len(events)
    first = next(weight for weight in weights if weight)
    counted = entry.usage.completion_tokens
    tokens_per_byte = counted / total if counted else 1 / _BYTES_PER_TOKEN
    seconds_per_byte = tokens_per_byte / tokens_per_s
    return [max(0, said - first) * seconds_per_byte for said in accumulate(weights)]
