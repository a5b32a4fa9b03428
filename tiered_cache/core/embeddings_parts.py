"""A batch of embeddings as the answers to the calls for each input alone, and back."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.accounting import picousd, usd_text
from tiered_cache.core.chat_reading import read_usage
from tiered_cache.core.embeddings_answers import vector_in
from tiered_cache.core.raw_json import (
    NULL,
    UnreadableError,
    integer,
    is_object,
    items,
    members,
    objects,
    with_member,
    write,
)
from tiered_cache.core.vocabulary import CacheKey, Entry, Shape, Usage

USAGE_FIELD = b"x-tiered-cache-usage"
"""On answers whose token counts are shares of a batch's total and not what an origin said."""

_ESTIMATED = b"estimated"
_MARK_BYTES = 8
_COST = "cost"
_INPUTS = msgspec.json.Decoder(list[str | list[float]])


class _Single(Struct):
    """An answer to one input, read in one pass."""

    data: tuple[dict[str, msgspec.Raw]]
    usage: msgspec.Raw = msgspec.Raw(NULL)


_SINGLE = msgspec.json.Decoder(_Single)


class Joined(Struct, frozen=True):
    """Answers to single calls as the answer to a batch of them.

    Attributes:
        body: the JSON text.
        estimated: its token counts are a sum of shares from different calls.
    """

    body: bytes
    estimated: bool


def with_inputs(body: bytes, kept: Sequence[int]) -> bytes:
    """The caller's batch with these of its inputs alone, every other byte kept where that is possible."""
    inputs = items(members(body)["input"])
    return with_member(body, "input", b"[%b]" % b",".join([inputs[index] for index in kept]))


def weigh_inputs(body: bytes) -> tuple[int, ...]:
    """What each input of a batch counts for: its bytes as UTF-8, its tokens where it is given as such."""
    inputs = _INPUTS.decode(members(body)["input"])
    return tuple([len(each.encode()) if isinstance(each, str) else len(each) for each in inputs])


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Shares that add up to `total` exactly, by the largest remainder; equal ones where nothing weighs."""
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: -(total * weights[index] % whole))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares


def split(entry: Entry, weights: Sequence[int], key: CacheKey) -> tuple[Entry, ...] | None:
    """The answers to the calls for each input alone, as if they had been asked.

    Args:
        entry: the batch's answer.
        weights: of its inputs, in order.
        key: names the batch that was asked.

    Returns:
        an entry for each input; None for what is no answer with one result for each.
    """
    try:
        answer = members(entry.body)
        listed = objects(answer.get("data", NULL))
    except UnreadableError:
        return None
    results = {integer(result.get("index")): result for result in listed}
    if len(listed) != len(weights) or results.keys() != set(range(len(weights))):
        return None
    usages = _shares(answer.get("usage", NULL), weights)
    headers = (*entry.headers, (USAGE_FIELD, _mark(key)))
    parts: list[Entry] = []
    for index, usage in enumerate(usages):
        whole = {**answer, "data": b"[%b]" % write({**results[index], "index": b"0"})}
        if usage is not None:
            whole["usage"] = usage
        counted = Usage() if usage is None else read_usage(usage)
        parts.append(replace(entry, headers=headers, body=write(whole), usage=counted))
    return tuple(parts)


def join(parts: Sequence[Entry], shape: Shape, paid_picousd: int | None, key: CacheKey) -> Joined | None:
    """The answer to a batch, of the answers to the calls for each of its inputs.

    Args:
        parts: in the order of the inputs.
        shape: the form of the vectors.
        paid_picousd: what this caller's answer cost now; None where the origin did not say.
        key: names the batch that is answered.

    Returns:
        None where these vectors cannot stand in one answer: of different models, or without this form.
    """
    if len({part.model for part in parts}) > 1:
        return None
    results: list[bytes] = []
    usages: list[dict[str, bytes]] = []
    for index, part in enumerate(parts):
        told = _SINGLE.decode(part.body)
        result = {name: bytes(value) for name, value in told.data[0].items()}
        vector = vector_in(result["embedding"], shape)
        if vector is None:
            return None
        results.append(write({**result, "index": b"%d" % index, "embedding": vector}))
        usages.append(_members_of(bytes(told.usage)))
    answer = members(parts[0].body)
    whole = {**answer, "data": b"[%b]" % b",".join(results)}
    if any(usages):
        whole["usage"] = _sum(usages, paid_picousd)
    mark = (USAGE_FIELD, _mark(key))
    return Joined(write(whole), estimated=any(mark not in part.headers for part in parts))


def joined_headers(part: Entry, *, estimated: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The field lines of a batch's answer, of those of one of its parts."""
    lines = tuple(line for line in part.headers if line[0] != USAGE_FIELD)
    return (*lines, (USAGE_FIELD, _ESTIMATED)) if estimated else lines


def total_usage(usages: Sequence[Usage]) -> Usage:
    """Tokens and cost together; unpriced where any is."""
    costs = [usage.cost_picousd for usage in usages]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        cost_picousd=None if None in costs else sum(cost or 0 for cost in costs),
    )


def _mark(key: CacheKey) -> bytes:
    """Value of the field for a part of the batch `key`: which parts are of one call."""
    return b'%b;batch="%b"' % (_ESTIMATED, key[-_MARK_BYTES:].hex().encode())


def _members_of(text: bytes) -> dict[str, bytes]:
    return members(text) if is_object(text) else {}


def _shares(usage: bytes, weights: Sequence[int]) -> list[bytes | None]:
    """Of every count and of the cost, what each input has of it; what is no number is nobody's."""
    if not is_object(usage):
        return [None] * len(weights)
    shares: list[dict[str, bytes]] = [{} for _ in weights]
    for name, text in members(usage).items():
        total = picousd(text) if name == _COST else integer(text)
        if total is None or total < 0:
            continue
        for share, amount in zip(shares, apportion(total, weights), strict=True):
            share[name] = usd_text(amount) if name == _COST else b"%d" % amount
    return [write(share) for share in shares]


def _sum(usages: Sequence[Mapping[str, bytes]], paid_picousd: int | None) -> bytes:
    """The counts that every part has, and what was paid."""
    total: dict[str, bytes] = {}
    for name in usages[0]:
        counts = [integer(usage.get(name)) for usage in usages]
        if name != _COST and None not in counts:
            total[name] = b"%d" % sum(count or 0 for count in counts)
    if paid_picousd is not None and any(_COST in usage for usage in usages):
        total[_COST] = usd_text(paid_picousd)
    return write(total)
