"""The map of a Redis Cluster: which node holds which slots, asked anew when a node says otherwise."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from redis.crc import key_slot

from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_node import Node, NodePart, Troubled
from tiered_cache.tiers.redis_replies import Reply

SLOTS = 16_384
_ASKED_AT_ONCE = 8
_REST_S = 0.1
"""A map younger than this is not asked for again: a failover takes longer."""

Host: TypeAlias = tuple[str, int]


class Cluster:
    """Looks a key's node up in the map; a redirection is a failure of that command, and renews the map.

    Args:
        seeds: nodes by which the cluster is found, whatever became of those found later.
        connect: makes the node at a host and port.
    """

    def __init__(self, seeds: Sequence[Host], connect: Callable[[str, int, Troubled], Node]) -> None:
        self._seeds = tuple(seeds)
        self._connect = connect
        self._known: dict[Host, Node] = {}
        self._owners: list[Node | None] = []
        self._renewing: asyncio.Task[None] | None = None
        self._renewed_s = float("-inf")
        self._closed = False

    divided = True

    def node_of(self, name: bytes) -> Node | None:
        """The node that holds a key; None when that is not known."""
        return self._owners[key_slot(name)] if self._owners else None

    async def find(self, name: bytes) -> Node:
        """As `node_of`, after asking. Raises TierUnavailableError."""
        await self._renew()
        node = self.node_of(name)
        if node is None:
            raise TierUnavailableError("no node has this slot")
        return node

    async def nodes(self) -> Sequence[Node]:
        """Every node that holds slots. Raises TierUnavailableError."""
        await self._renew()
        return tuple({id(node): node for node in self._owners if node is not None}.values())

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._known.values()))

    def _troubled(self, _word: str) -> None:
        """A command failed: perhaps its slot is elsewhere now."""
        rested = asyncio.get_running_loop().time() - self._renewed_s >= _REST_S
        if rested and self._renewing is None and not self._closed:
            self._start_renewing()

    async def _renew(self) -> None:
        """Wait for a map. Raises TierUnavailableError."""
        if self._closed:
            raise TierUnavailableError("closed")
        # Whoever gives up waiting leaves the question to the others.
        await asyncio.shield(self._start_renewing())

    def _start_renewing(self) -> "asyncio.Task[None]":
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._ask_around())
            self._renewing.add_done_callback(self._end_renewing)
        return self._renewing

    def _end_renewing(self, renewing: "asyncio.Task[None]") -> None:
        self._renewing = None
        self._renewed_s = renewing.get_loop().time()
        if not renewing.cancelled():
            renewing.exception()  # who waited has it; a renewal that nobody waits for may fail

    async def _ask_around(self) -> None:
        """The first node that knows the slots tells; the others need not be waited for."""
        hosts = list(dict.fromkeys([*self._known, *self._seeds]))
        for start in range(0, len(hosts), _ASKED_AT_ONCE):
            asked = [asyncio.create_task(self._ask(host)) for host in hosts[start : start + _ASKED_AT_ONCE]]
            try:
                for answer in asyncio.as_completed(asked):
                    ranges = await answer
                    if ranges:
                        await self._adopt(ranges)
                        return
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
        raise TierUnavailableError("no node of the cluster answers")

    async def _ask(self, host: Host) -> "list[_Range]":
        """What a node knows; nothing when it cannot be asked."""
        try:
            reply = await self._node(host).command(b"CLUSTER", b"SLOTS")
            return [_range(row, host) for row in reply]
        except (TierUnavailableError, TypeError, ValueError, IndexError, AttributeError):
            return []

    async def _adopt(self, ranges: "list[_Range]") -> None:
        owners: list[Node | None] = [None] * SLOTS
        for first, last, host in ranges:
            owners[first : last + 1] = [self._node(host)] * (last + 1 - first)
        self._owners = owners[:SLOTS]
        holding = {host for _, _, host in ranges}
        for host, node in self._known.items():
            if host not in holding:
                node.part = NodePart()
        kept = {*self._seeds, *holding}
        left = [self._known.pop(host) for host in list(self._known) if host not in kept]
        await asyncio.gather(*(node.close() for node in left))

    def _node(self, host: Host) -> Node:
        node = self._known.get(host)
        if node is None:
            node = self._known[host] = self._connect(*host, self._troubled)
        return node


_Range: TypeAlias = tuple[int, int, Host]


def _range(row: Reply, asked: Host) -> _Range:
    """First slot, last slot and primary; a node that does not know its own name is where it was asked."""
    first, last, primary = int(row[0]), int(row[1]), row[2]
    if not 0 <= first <= last < SLOTS:
        raise ValueError("no such slots")
    name = primary[0]
    return first, last, (name.decode() if name else asked[0], int(primary[1]))
