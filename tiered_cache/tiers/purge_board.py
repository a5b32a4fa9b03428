"""The log of purges that all nodes of a Redis share: one hash, and a channel that tells of each new line.

The hash holds the incarnation, the counter, the floor and, for each scope, the number of its last hard and
soft purge. It is one key, so that it is evicted, lost or behind as a whole.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

from tiered_cache.core.canonical.form import kind_of
from tiered_cache.core.epochs import INCARNATION_BYTES, SCOPE_BYTES, Epoch, Purge, PurgeLog
from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_news import messages
from tiered_cache.tiers.redis_node import Node, Script
from tiered_cache.tiers.redis_places import Place, PlaceOptions, open_place
from tiered_cache.tiers.redis_replies import Reply

MOST_FIELDS = 20_000
"""Scopes in the hash; beyond it the older half makes way for a floor."""

_HARD, _SOFT = b"h", b"s"
_COUNTER_BYTES = 8
_HEAD_BYTES = INCARNATION_BYTES + _COUNTER_BYTES
_FIELD_BYTES = 1 + SCOPE_BYTES

_OPENED = """
local key, channel = KEYS[1], ARGV[1]
local i = redis.call('HGET', key, 'i')
if not i then
  i = ARGV[2]
  redis.call('DEL', key)
  redis.call('HSET', key, 'i', i, 'c', 0, 'f', 0)
end
"""
_READ = Script(
    _OPENED
    + """
return {i, redis.call('HGET', key, 'c'), redis.call('HGET', key, 'f')}
"""
)
_RENEW = Script("""
if redis.call('HGET', KEYS[1], 'i') ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'i', ARGV[2], 'c', 0, 'f', 0)
redis.call('PUBLISH', ARGV[1], ARGV[2] .. struct.pack('>I8', 0))
return 1
""")
_PURGE = Script(
    """
if redis.call('HGET', KEYS[1], 'i') == ARGV[4]
  and tonumber(redis.call('HGET', KEYS[1], 'c') or 0) < tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[1])
end
"""
    + _OPENED
    + """
local c = redis.call('HINCRBY', key, 'c', 1)
for n = 6, #ARGV do redis.call('HSET', key, ARGV[n], c) end
if redis.call('HLEN', key) > tonumber(ARGV[3]) then
  local all, marks = redis.call('HGETALL', key), {}
  for n = 1, #all, 2 do
    if #all[n] > 1 then marks[#marks + 1] = {tonumber(all[n + 1]), all[n]} end
  end
  table.sort(marks, function(a, b) return a[1] < b[1] end)
  for n = 1, math.floor(#marks / 2) do
    redis.call('HDEL', key, marks[n][2])
    redis.call('HSET', key, 'f', marks[n][1])
  end
end
redis.call('PUBLISH', channel, i .. struct.pack('>I8', c) .. table.concat(ARGV, '', 6))
return {i, c}
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

    async def epoch(self) -> Epoch:
        """How far the log goes; an absent one is begun."""
        incarnation, counter, _ = await self._run(_READ)
        return _epoch(incarnation, counter)

    async def read(self) -> PurgeLog:
        """The whole log; an absent one is begun."""
        await self._run(_READ)
        fields: Any = await (await self._node()).command(b"HGETALL", self._key)
        marks = _pairs(fields)
        if not {b"i", b"c", b"f"} <= marks.keys():
            raise TierUnavailableError("purge log")
        log = PurgeLog(_epoch(marks.pop(b"i"), marks.pop(b"c")))
        log.floor = int(marks.pop(b"f"))
        for field, counter in marks.items():
            log.note(Purge(int(counter), (field[1:],), field[:1] == _SOFT))
        return log

    async def purge(self, scopes: tuple[bytes, ...], *, soft: bool, known: Epoch) -> Epoch:
        """Write one line; how far the log goes with it.

        A log that is behind `known` has lost lines, so another one is begun with this line: else it could get
        the number of a lost one, and nobody would see the loss.
        """
        kind = _SOFT if soft else _HARD
        fields = [kind + scope for scope in scopes]
        incarnation, counter = await self._run(_PURGE, MOST_FIELDS, known.incarnation, known.counter, *fields)
        return _epoch(incarnation, counter)

    async def renew(self, incarnation: bytes) -> None:
        """Begin another log, unless that of `incarnation`, which has lost lines, has ended already."""
        await (await self._node()).run(_RENEW, self._key, self._channel, _random(), incarnation)

    async def news(
        self, silence_s: float, subscribed: Callable[[], None]
    ) -> AsyncGenerator[tuple[Epoch, Purge]]:
        """Each new line, with the epoch it makes, until the connection fails.

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

    async def close(self) -> None:
        """Close the connections for commands; that for news closes with its iterator."""
        await self._place.close()

    async def _run(self, script: Script, *arguments: bytes | int) -> Any:
        reply: Reply = await (await self._node()).run(script, self._key, self._channel, _random(), *arguments)
        if kind_of(reply) is not list:
            raise TierUnavailableError("purge log")
        return reply

    async def _node(self) -> Node:
        node = self._place.node_of(self._key)
        return await self._place.find(self._key) if node is None else node


def _pairs(fields: Any) -> dict[bytes, bytes]:
    """A map, of which RESP2 makes a list of names and values."""
    if type(fields) is dict:
        return cast("dict[bytes, bytes]", fields)
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _random() -> bytes:
    return secrets.token_bytes(INCARNATION_BYTES)


def _epoch(incarnation: Any, counter: Any) -> Epoch:
    if not isinstance(incarnation, bytes) or len(incarnation) != INCARNATION_BYTES:
        raise TierUnavailableError("purge log")
    return Epoch(incarnation, int(counter))


def _line(text: bytes) -> tuple[Epoch, Purge]:
    counter = int.from_bytes(text[INCARNATION_BYTES:_HEAD_BYTES], "big")
    fields = [text[at : at + _FIELD_BYTES] for at in range(_HEAD_BYTES, len(text), _FIELD_BYTES)]
    soft = bool(fields) and fields[0][:1] == _SOFT
    return Epoch(text[:INCARNATION_BYTES], counter), Purge(
        counter, tuple(field[1:] for field in fields), soft
    )
