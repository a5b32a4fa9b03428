"""What no real cache can beat on a trace: unlimited space, and limited space with knowledge of the future."""

import heapq
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tiered_cache.simulation.trace_calls import OriginModel, answer_body
from tiered_cache.simulation.traces import Row


class Sums(msgspec.Struct):
    """The four weights of a set of calls, never mixed: each gives a ratio of its own.

    A call weighs what it would have used at the origin by its own row, whoever answered it.
    """

    requests: int = 0
    answer_bytes: int = 0
    tokens: int = 0
    cost_picousd: int = 0

    def add(self, row: Row, model: OriginModel) -> None:
        """Count one call."""
        self.requests += 1
        self.answer_bytes += len(answer_body(row, model))
        self.tokens += row.prompt_tokens + row.output_tokens
        self.cost_picousd += model.cost_picousd(row)

    def ratios(self, total: "Sums") -> "Ratios":
        """This set as shares of `total`; 0 where the total is 0."""
        return Ratios(
            hit_ratio=_share(self.requests, total.requests),
            byte_hit_ratio=_share(self.answer_bytes, total.answer_bytes),
            token_saving=_share(self.tokens, total.tokens),
            cost_saving=_share(self.cost_picousd, total.cost_picousd),
        )


class Ratios(msgspec.Struct, frozen=True):
    """Four numbers between 0 and 1."""

    hit_ratio: float
    byte_hit_ratio: float
    token_saving: float
    cost_saving: float

    def of(self, bound: "Ratios") -> "Ratios":
        """The share of `bound` that these reach; 1 where the bound is 0 and so nothing was to be had."""
        return Ratios(
            *(
                getattr(self, field) / getattr(bound, field) if getattr(bound, field) else 1.0
                for field in self.__struct_fields__
            ),
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def partition_key(row: Row) -> tuple[str, int]:
    """What makes two rows the same call: the id, within one tenant."""
    return row.tenant, row.key_id


def unbounded(rows: Iterable[Row], model: OriginModel) -> Sums:
    """What a cache without limit of space or time answers: every call but the first of its key."""
    seen: set[tuple[str, int]] = set()
    saved = Sums()
    for row in rows:
        key = partition_key(row)
        if key in seen:
            saved.add(row, model)
        seen.add(key)
    return saved


def clairvoyant(
    rows: Sequence[Row], model: OriginModel, capacity_bytes: int, weight: Callable[[Row], int]
) -> Sums:
    """What a cache answers that drops the entry whose next use is farthest away (Belady).

    With entries of unequal weight this is not a strict bound, but it is the usual yardstick.
    """
    following = _next_uses(rows)
    kept: dict[tuple[str, int], tuple[int, int]] = {}  # key -> (next use, weight)
    farthest: list[tuple[int, tuple[str, int]]] = []
    used = 0
    saved = Sums()
    for at, row in enumerate(rows):
        key = partition_key(row)
        if key in kept:
            saved.add(row, model)
            used -= kept.pop(key)[1]
        if following[at] == len(rows):
            continue
        entry = (following[at], weight(row))
        kept[key] = entry
        used += entry[1]
        heapq.heappush(farthest, (-entry[0], key))
        while used > capacity_bytes:
            used -= _drop_farthest(kept, farthest)
    return saved


def _next_uses(rows: Sequence[Row]) -> list[int]:
    """For each position, where the same key comes next; the length of the trace when never."""
    coming: dict[tuple[str, int], int] = {}
    following = [len(rows)] * len(rows)
    for at in range(len(rows) - 1, -1, -1):
        key = partition_key(rows[at])
        following[at] = coming.get(key, len(rows))
        coming[key] = at
    return following


def _drop_farthest(
    kept: dict[tuple[str, int], tuple[int, int]], farthest: list[tuple[int, tuple[str, int]]]
) -> int:
    """Drop one entry. Returns its weight, or 0 for a record in the heap that is out of date."""
    next_use, key = heapq.heappop(farthest)
    entry = kept.get(key)
    if entry is None or entry[0] != -next_use:
        return 0
    del kept[key]
    return entry[1]
