"""The replay of a trace through the real engine in virtual time, beside what any cache could reach."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from tiered_cache.core.vocabulary import Outcome, Response, Scope
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.ledger import Ledger
from tiered_cache.errors import ConfigError
from tiered_cache.simulation.bounds import Ratios, Sums, clairvoyant, partition_key, unbounded
from tiered_cache.simulation.trace_calls import (
    ENDPOINT,
    OriginModel,
    TraceOrigin,
    answer_body,
    call_body,
    marker,
)
from tiered_cache.simulation.traces import Row
from tiered_cache.simulation.virtual import VirtualClock, run_virtual
from tiered_cache.tiers.memory import ENTRY_OVERHEAD_BYTES

_SAVING = frozenset({"hit", "stale", "revalidated", "collapsed"})
_NOBODY = "trace"
_PROGRESS_EVERY = 100
_LONGEST_MS = 100 * 365 * 86_400_000


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. Ratios are between 0 and 1; each weighs calls by their own row of the trace.

    Attributes:
        trace: name of the workload; no figure here means anything without it.
        rows, calls: requests, and how many of them are different calls.
        hit_ratio: hits and collapsed calls over requests; the next three likewise by bytes, tokens, dollars.
        unbounded: the same four for a cache without limits; `reached` is the share of it.
        clairvoyant: the same four for the memory's capacity, knowing the future; None when unlimited.
        tiers: share of the requests that each tier answered, and the collapsed ones.
        outcomes: requests by how they were answered.
        counters: what the engine counted beside (stored, refused, faults).
        wrong_answers: answers that belong to another call; anything but 0 is a bug.
        saved_usd: what the saved calls would have cost by their own rows; `ledger_saved_usd` is the stored
            cost of the answers they got, as the ledger books it.
        saved_s: origin seconds that callers did not wait.
    """

    trace: str
    rows: int
    calls: int
    tenants: int
    span_s: float
    hit_ratio: float
    byte_hit_ratio: float
    token_saving: float
    cost_saving: float
    unbounded: Ratios
    reached: Ratios
    clairvoyant: Ratios | None
    tiers: dict[str, float]
    outcomes: dict[str, int]
    counters: dict[str, int]
    upstream_calls: int
    wrong_answers: int
    spent_usd: float
    saved_usd: float
    ledger_saved_usd: float
    saved_s: float
    profile: str
    memory_bytes: int | None
    disk: bool
    seed: int
    origin: OriginModel
    took_s: float


class Plan(msgspec.Struct, frozen=True):
    """What a replay depends on beside its rows.

    Attributes:
        trace: what the workload is called in the report.
        config: the engine's; a secret is not needed. Redis is refused: it lives in real time.
        seed: decides how each call is spelled.
        model: what the simulated origin takes and charges.
    """

    trace: str
    config: CacheConfig
    seed: int = 0
    model: OriginModel = OriginModel()


class Replay:
    """One replay of `rows`, which are in order of arrival.

    Args:
        plan: engine and origin.
        rows: the trace; times count from its first row.
        progress: told every so often how many calls are answered.

    Raises:
        ConfigError: the plan names Redis, or the trace is longer than 100 years.
    """

    def __init__(
        self, plan: Plan, rows: Sequence[Row], progress: Callable[[int], None] = lambda _done: None
    ) -> None:
        if plan.config.redis is not None:
            raise ConfigError(
                "a replay runs on memory and disk in virtual time: leave redis out of its config"
            )
        self._plan = plan
        self._rows = _from_the_first(rows)
        self._config = msgspec.structs.replace(plan.config, secret=f"a secret for replays, seed {plan.seed}")
        self._model = plan.model
        self._spelling = random.Random(plan.seed)  # noqa: S311  # spelling, not security
        self._progress = progress
        self._origin = TraceOrigin(plan.model)
        self._scopes: dict[str, Scope] = {}
        self._outcomes: Counter[str] = Counter()
        self._tiers: Counter[str] = Counter()
        self._saved = Sums()
        self._saved_s = 0.0
        self._wrong = 0
        self._answered = 0

    def run(self) -> ReplayReport:
        """Replay every row. Raises what the engine raises: a replay has no failures of its own."""
        start = time.perf_counter()
        ledger = run_virtual(self._replay())
        return self._report(ledger, time.perf_counter() - start)

    async def _replay(self) -> Ledger:
        loop = asyncio.get_running_loop()
        async with Cache.open(self._config, clock=VirtualClock(loop)) as cache:
            began = loop.time()
            async with asyncio.TaskGroup() as calls:
                for row in self._rows:
                    wait_s = began + row.ts_ms / 1000 - loop.time()
                    if wait_s > 0:
                        await asyncio.sleep(wait_s)
                    calls.create_task(self._call(cache, row))
            return cache.ledger

    async def _call(self, cache: Cache, row: Row) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        body = call_body(row, self._spelling)
        request = cache.request(ENDPOINT, body, scope=self._scope(cache, row.tenant))
        response = await cache.serve(request, partial(self._origin.answer, row))
        answer = await _whole(response)
        self._tally(row, response.outcome, answer, loop.time() - arrived)

    def _scope(self, cache: Cache, tenant: str) -> Scope:
        scope = self._scopes.get(tenant)
        if scope is None:
            named = tenant or _NOBODY
            scope = self._scopes[tenant] = cache.scope(tenant=named, credential=named.encode())
        return scope

    def _tally(self, row: Row, outcome: Outcome | None, answer: bytes, waited_s: float) -> None:
        kind = "unknown" if outcome is None else outcome.kind
        self._outcomes[kind] += 1
        self._wrong += marker(row) not in answer
        if outcome is not None and kind in _SAVING:
            self._tiers[kind if outcome.tier is None else outcome.tier] += 1
            self._saved.add(row, self._model)
            self._saved_s += self._model.latency_s(row) - waited_s
        self._answered += 1
        if self._answered % _PROGRESS_EVERY == 0 or self._answered == len(self._rows):
            self._progress(self._answered)

    def _report(self, ledger: Ledger, took_s: float) -> ReplayReport:
        rows, model = self._rows, self._model
        total = _total(rows, model)
        reached = self._saved.ratios(total)
        bound = unbounded(rows, model).ratios(total)
        return ReplayReport(
            trace=self._plan.trace,
            rows=len(rows),
            calls=len({partition_key(row) for row in rows}),
            tenants=len(self._scopes),
            span_s=(max(row.ts_ms for row in rows) - min(row.ts_ms for row in rows)) / 1000 if rows else 0.0,
            **msgspec.structs.asdict(reached),
            unbounded=bound,
            reached=reached.of(bound),
            clairvoyant=self._clairvoyant(total),
            tiers={name: count / len(rows) for name, count in sorted(self._tiers.items())},
            outcomes=dict(sorted(self._outcomes.items())),
            counters={":".join(filter(None, name)): count for name, count in sorted(ledger.counts.items())},
            upstream_calls=self._origin.calls,
            wrong_answers=self._wrong,
            spent_usd=self._origin.spent_picousd / 1e12,
            saved_usd=self._saved.cost_picousd / 1e12,
            ledger_saved_usd=sum(row.cost_picousd for row in ledger.rows() if row.saves) / 1e12,
            saved_s=round(self._saved_s, 3),
            profile=self._config.profile,
            memory_bytes=self._config.memory.capacity_bytes,
            disk=self._config.disk is not None,
            seed=self._plan.seed,
            origin=model,
            took_s=round(took_s, 3),
        )

    def _clairvoyant(self, total: Sums) -> Ratios | None:
        capacity = self._config.memory.capacity_bytes
        if capacity is None or self._config.disk is not None:
            return None
        return clairvoyant(self._rows, self._model, capacity, self._weight).ratios(total)

    def _weight(self, row: Row) -> int:
        """The least that an entry weighs in memory: the yardstick must not be shorter than it is."""
        return ENTRY_OVERHEAD_BYTES + len(answer_body(row, self._model))


def _from_the_first(rows: Sequence[Row]) -> list[Row]:
    """The rows with times from the first one on. Raises ConfigError."""
    first_ms = rows[0].ts_ms if rows else 0
    counted = [msgspec.structs.replace(row, ts_ms=row.ts_ms - first_ms) for row in rows]
    if any(abs(row.ts_ms) > _LONGEST_MS for row in counted):
        raise ConfigError("the trace spans more than 100 years: are its ts_ms milliseconds?")
    return counted


def _total(rows: Sequence[Row], model: OriginModel) -> Sums:
    total = Sums()
    for row in rows:
        total.add(row, model)
    return total


async def _whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])
