"""The log of purges that all nodes of a Redis share: one hash, and a channel that tells of each new line.

The hash holds the incarnation `i` and those that were left for it `p`, the counter `c`, the floor `b`, the
tokens of lines in blocks `t…`, and for each scope the number of its last hard and soft purge. It is one key,
so that it is evicted, lost or behind as a whole.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from tiered_cache.core.canonical.form import kind_of
from tiered_cache.core.epochs import (
    INCARNATION_BYTES,
    LINES,
    NOWHERE,
    SCOPE_BYTES,
    TOKEN_BYTES,
    Epoch,
    Purge,
    PurgeLog,
)
from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_news import answers, messages
from tiered_cache.tiers.redis_node import Node, Script
from tiered_cache.tiers.redis_places import Place, PlaceOptions, node_for, open_place
from tiered_cache.tiers.redis_replies import Reply

MOST_FIELDS = 20_000
"""Scopes in the hash; beyond it the older half makes way for a floor."""

LINES_OF_A_BLOCK = 256
KEPT_LINES = LINES - LINES_OF_A_BLOCK
"""Whose tokens are kept at least; those of a block are dropped together."""

_MOST_PAST = 64

_HARD, _SOFT = b"h", b"s"
_COUNTER_BYTES = 8
_NUMBER_BYTES = INCARNATION_BYTES + _COUNTER_BYTES
_BEFORE_BYTES = _NUMBER_BYTES + TOKEN_BYTES
_HEAD_BYTES = _BEFORE_BYTES + TOKEN_BYTES
_FIELD_BYTES = 1 + SCOPE_BYTES

News: TypeAlias = tuple[Epoch, Purge]
"""A line, and the epoch that it follows."""

# Begins another log where this one is missing, is not whole (an older version wrote to it), or did not come
# by what the caller knows: then it has lost lines. Those that were left are remembered, since one that comes
# back has lost all that came after it.
_OPENED = f"""
local key, channel = KEYS[1], ARGV[1]
local known, number, token = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local function block(n) return 't' .. math.floor(n / {LINES_OF_A_BLOCK}) end
local function line(n)
  local at = n % {LINES_OF_A_BLOCK} * {TOKEN_BYTES}
  return string.sub(redis.call('HGET', key, block(n)) or '', at + 1, at + {TOKEN_BYTES})
end
local i, c, b, past = unpack(redis.call('HMGET', key, 'i', 'c', 'b', 'p'))
c, b, past = tonumber(c), tonumber(b), past or ''
local sound = i and c and b
  and #(redis.call('HGET', key, block(c)) or '') == (c % {LINES_OF_A_BLOCK} + 1) * {TOKEN_BYTES}
if sound and known == i then
  sound = number <= c and line(number) == token
elseif sound and known ~= '' then
  sound = string.find(past, known, 1, true)
end
if not sound then
  for _, left in ipairs({{i or '', known}}) do
    if #left == {INCARNATION_BYTES} and not string.find(past, left, 1, true) then past = left .. past end
  end
  i, c, b = ARGV[2], 0, 0
  local zero = string.rep('\0', {TOKEN_BYTES})
  redis.call('DEL', key)
  redis.call('HSET', key, 'i', i, 'c', 0, 'b', 0, 't0', zero,
    'p', string.sub(past, 1, {_MOST_PAST * INCARNATION_BYTES}))
  redis.call('PUBLISH', channel, i .. struct.pack('>I8', 0) .. zero .. zero)
end
"""
_LOOK = Script(
    _OPENED
    + """
return {i, c, line(c)}
"""
)
_PURGE = Script(
    _OPENED
    + f"""
local function raise(floor)
  b = math.max(b, floor)
  redis.call('HSET', key, 'b', b)
end
local before = line(c)
c = c + 1
redis.call('HSET', key, 'c', c, block(c), (redis.call('HGET', key, block(c)) or '') .. ARGV[6])
for n = 9, #ARGV do redis.call('HSET', key, ARGV[n], c) end
local kept = c - tonumber(ARGV[8])
if kept > 0 and kept % {LINES_OF_A_BLOCK} == 0 then
  redis.call('HDEL', key, block(kept - 1))
  raise(kept)
end
if redis.call('HLEN', key) > tonumber(ARGV[7]) then
  local all, marks = redis.call('HGETALL', key), {{}}
  for n = 1, #all, 2 do
    if #all[n] == {_FIELD_BYTES} then marks[#marks + 1] = {{tonumber(all[n + 1]), all[n]}} end
  end
  table.sort(marks, function(a, b) return a[1] < b[1] end)
  local half = math.floor(#marks / 2)
  for n = 1, half do redis.call('HDEL', key, marks[n][2]) end
  raise(marks[half][1])
end
redis.call('PUBLISH', channel, i .. struct.pack('>I8', c) .. before .. ARGV[6] .. table.concat(ARGV, '', 9))
return {{i, c, before}}
"""
)


class PurgeBoard:
    """The shared log. Every method but `close` raises TierUnavailableError.

    Args:
        url: as `RedisTier` takes it.
        prefix: first word of the key and of the channel.
        options: how to connect.
    """

    def __init__(self, url: str, *, prefix: str, options: PlaceOptions) -> None:
        self._key = f"{prefix}:{{purges}}:log".encode()
        self._channel = f"{prefix}:{{purges}}:news".encode()
        self._place: Place = open_place(url, options)

    async def look(self, known: Epoch) -> Epoch:
        """How far the log goes; another one is begun where it is absent or has lost what is `known` of it."""
        incarnation, counter, token = await self._run(_LOOK, known)
        return _epoch(incarnation, counter, token)

    async def read(self) -> PurgeLog:
        """The whole log."""
        fields: Any = await (await self._node()).command(b"HGETALL", self._key)
        marks = _pairs(fields)
        if not {b"i", b"c", b"b"} <= marks.keys():
            raise TierUnavailableError("purge log")
        log = _log(marks)
        for field, number in marks.items():
            if len(field) == _FIELD_BYTES:
                counter = int(number)
                log.note(Purge(counter, (field[1:],), field[:1] == _SOFT, log.token(counter)))
        return log

    async def purge(self, scopes: tuple[bytes, ...], *, soft: bool, known: Epoch) -> News:
        """Write one line, which tells what it follows.

        A log that has lost what is `known` of it is left, and another one begun with this line.
        """
        token = _token()
        fields = [(_SOFT if soft else _HARD) + scope for scope in scopes]
        incarnation, counter, before = await self._run(_PURGE, known, token, MOST_FIELDS, KEPT_LINES, *fields)
        return _epoch(incarnation, counter - 1, before), Purge(counter, scopes, soft, token)

    async def news(self, silence_s: float, subscribed: Callable[[], None]) -> AsyncGenerator[News]:
        """Each new line, with the epoch it follows, until the connection fails.

        Args:
            silence_s: after so long without a word the server is asked for a sign of life, and after twice
                that the connection is given up.
            subscribed: called when no line from then on can be missed.
        """
        node = await self._node()
        async with aclosing(messages(node, self._channel, silence_s, subscribed)) as texts:
            async for text in texts:
                if len(text) >= _HEAD_BYTES:
                    yield _line(text)

    async def reach(self) -> None:
        """Return once the server answers on a new connection; older ones are dropped."""
        node = await self._node()
        await answers(node)
        node.reconnect()

    async def close(self) -> None:
        """Close the connections for commands; that for news closes with its iterator."""
        await self._place.close()

    async def _run(self, script: Script, known: Epoch, *further: bytes | int) -> Any:
        fresh = secrets.token_bytes(INCARNATION_BYTES)
        told = (self._channel, fresh, known.incarnation, known.counter, known.token)
        reply: Reply = await (await self._node()).run(script, self._key, *told, *further)
        if kind_of(reply) is not list:
            raise TierUnavailableError("purge log")
        return reply

    async def _node(self) -> Node:
        return await node_for(self._place, self._key)


def _pairs(fields: Any) -> dict[bytes, bytes]:
    """A map, of which RESP2 makes a list of names and values."""
    if type(fields) is dict:
        return cast("dict[bytes, bytes]", fields)
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _token() -> bytes:
    return secrets.token_bytes(TOKEN_BYTES)


def _epoch(incarnation: Any, counter: Any, token: Any) -> Epoch:
    if not isinstance(incarnation, bytes) or len(incarnation) != INCARNATION_BYTES:
        raise TierUnavailableError("purge log")
    return Epoch(incarnation, int(counter), token)


def _log(fields: dict[bytes, bytes]) -> PurgeLog:
    """The log without its marks."""
    counter, floor = int(fields[b"c"]), int(fields[b"b"])
    first, last = floor // LINES_OF_A_BLOCK, counter // LINES_OF_A_BLOCK
    tokens = b"".join(fields.get(b"t%d" % number, b"") for number in range(first, last + 1))
    tokens = tokens[(floor - first * LINES_OF_A_BLOCK) * TOKEN_BYTES :]
    if len(tokens) != (counter - floor + 1) * TOKEN_BYTES:
        raise TierUnavailableError("purge log")
    log = PurgeLog(NOWHERE)
    log.begin(_epoch(fields[b"i"], counter, tokens[-TOKEN_BYTES:]), floor, tokens)
    return log


def _line(text: bytes) -> News:
    counter = int.from_bytes(text[INCARNATION_BYTES:_NUMBER_BYTES], "big")
    before = Epoch(text[:INCARNATION_BYTES], counter - 1, text[_NUMBER_BYTES:_BEFORE_BYTES])
    fields = [text[at : at + _FIELD_BYTES] for at in range(_HEAD_BYTES, len(text), _FIELD_BYTES)]
    soft = bool(fields) and fields[0][:1] == _SOFT
    scopes = tuple(field[1:] for field in fields)
    return before, Purge(counter, scopes, soft, text[_BEFORE_BYTES:_HEAD_BYTES])
