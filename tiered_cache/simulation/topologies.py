"""A real cluster, and a real pair watched by a Sentinel, of Valkey processes of one's own."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from tiered_cache.errors import ConfigError
from tiered_cache.simulation.valkey import EmbeddedValkey, free_port

SLOTS = 16_384
READY_WITHIN_S = 20.0
_POLL_S = 0.02
_LOOPBACK = "127.0.0.1"
SERVICE = "main"
"""Under this name the Sentinel knows the pair."""


class _Servers:
    """Several servers that start and end together. Starting blocks for some seconds."""

    def __init__(self) -> None:
        self.servers: list[EmbeddedValkey] = []

    def start(self) -> Self:
        """Start the servers and wait until they know each other. Raises ConfigError when they do not."""
        try:
            for server in self.servers:
                server.start()
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def _join(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """End all servers. Idempotent."""
        for server in self.servers:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class EmbeddedCluster(_Servers):
    """Primaries that share the slots, each with one replica.

    Args:
        primaries: how many; the cluster has twice as many servers.
        node_timeout_ms: after so long without a word a node is given up by the others.

    Attributes:
        servers: the primaries of the start, then their replicas in the same order.
    """

    def __init__(self, *, primaries: int = 3, node_timeout_ms: int = 500) -> None:
        super().__init__()
        self._primaries = primaries
        self._ids: list[str] = []
        for _ in range(2 * primaries):
            self.servers.append(_Member(node_timeout_ms))

    @property
    def url(self) -> str:
        """Address as the Redis tier takes it."""
        return "redis+cluster://" + ",".join(f"{_LOOPBACK}:{server.port}" for server in self.servers)

    def fail_over(self, primary: int) -> None:
        """Let the replica of a primary take its slots over at once, without asking the others."""
        command(self.servers[self._primaries + primary], "CLUSTER", "FAILOVER", "TAKEOVER")

    def is_whole(self) -> bool:
        """Whether all servers that run say so; blocks."""
        return all(_is_whole(server) for server in self.servers if server.alive)

    def has_failed_over(self, primary: int) -> bool:
        """Whether all servers but that primary know that its replica has its slots; blocks."""
        port = b":%d@" % (self.servers[self._primaries + primary].port or 0)
        return all(
            _holds_slots(server, port) for server in self.servers if server is not self.servers[primary]
        )

    def migrate(self, slot: int, source: int, target: int) -> None:
        """Begin to move a slot: the source redirects absent keys with ASK until `assign`."""
        command(self.servers[target], "CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source])
        command(self.servers[source], "CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target])

    def assign(self, slot: int, target: int) -> None:
        """Give a slot to a primary; the others redirect to it with MOVED."""
        for server in [self.servers[target], *self.servers[: self._primaries]]:
            command(server, "CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])

    def _join(self) -> None:
        self._ids = [command(server, "CLUSTER", "MYID").decode() for server in self.servers]
        share = -(-SLOTS // self._primaries)
        for number, server in enumerate(self.servers):
            command(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < self._primaries:
                first = number * share
                command(server, "CLUSTER", "ADDSLOTSRANGE", first, min(SLOTS, first + share) - 1)
        for server in self.servers[1:]:
            bus_port = int(_setting(self.servers[0], "cluster-port"))
            command(server, "CLUSTER", "MEET", _LOOPBACK, self.servers[0].port, bus_port)
        _wait("meet", lambda: all(_known_nodes(server) == len(self.servers) for server in self.servers))
        for number in range(self._primaries):
            command(self.servers[self._primaries + number], "CLUSTER", "REPLICATE", self._ids[number])
        _wait("agree", lambda: all(_is_whole(server) for server in self.servers))
        _wait("copy", lambda: all(map(_is_linked, self.servers[self._primaries :])))


class _Member(EmbeddedValkey):
    """A server of a cluster; its two ports are picked anew together where one is taken."""

    def __init__(self, node_timeout_ms: int) -> None:
        arguments = [
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)),
            *("--cluster-replica-validity-factor", "0", "--cluster-require-full-coverage", "no"),
            *("--repl-diskless-sync-delay", "0"),
        ]
        super().__init__(port=0, arguments=arguments)
        self._picked: tuple[int | None, int] = (0, 0)

    def _arguments(self, directory: Path) -> list[str]:
        if self._picked[0] != self.port:
            self._picked = (self.port, free_port())
        return [*super()._arguments(directory), "--cluster-port", str(self._picked[1])]


class EmbeddedSentinel(_Servers):
    """A primary, its replica, and a Sentinel that promotes the replica when the primary is gone.

    Args:
        down_after_ms: after so long without a word the primary is gone.

    Attributes:
        servers: the primary of the start, then its replica.
        sentinel: who watches them.
    """

    def __init__(self, *, down_after_ms: int = 300) -> None:
        super().__init__()
        # Either may be the one that is copied from; it would wait five seconds for further replicas.
        primary, replica = (
            EmbeddedValkey(port=0, arguments=["--repl-diskless-sync-delay", "0"]) for _ in range(2)
        )
        self.servers = [primary, replica]
        self.sentinel: EmbeddedValkey = _Sentinel(primary, down_after_ms)

    @property
    def url(self) -> str:
        """Address as the Redis tier takes it."""
        return f"redis+sentinel://{_LOOPBACK}:{self.sentinel.port}/{SERVICE}"

    def stop(self) -> None:
        """End all servers. Idempotent."""
        self.sentinel.stop()
        super().stop()

    def _join(self) -> None:
        primary, replica = self.servers
        command(replica, "REPLICAOF", _LOOPBACK, primary.port)
        _wait("copy", lambda: _is_linked(replica))
        self.sentinel.start()  # it looks for replicas when it starts, and then every ten seconds
        _wait("be seen", lambda: len(command(self.sentinel, "SENTINEL", "REPLICAS", SERVICE)) == 1)


class _Sentinel(EmbeddedValkey):
    def __init__(self, primary: EmbeddedValkey, down_after_ms: int) -> None:
        super().__init__(port=0)
        self._primary = primary
        self._down_after_ms = down_after_ms

    def _arguments(self, directory: Path) -> list[str]:
        lines = [
            f"bind {_LOOPBACK}",
            f"port {self.port}",
            f"dir {directory}",
            f"sentinel monitor {SERVICE} {_LOOPBACK} {self._primary.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} {self._down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 2000",
        ]
        file = directory / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n")
        return [str(file), "--sentinel"]


def command(server: EmbeddedValkey, *words: Any) -> Any:
    """Carry a command out on one server; blocks. Raises redis-py's errors."""
    assert server.port is not None
    client: Any = Redis(host=_LOOPBACK, port=server.port, socket_timeout=5.0, protocol=2)
    with client:
        client.response_callbacks.clear()
        return client.execute_command(*words)


def _setting(server: EmbeddedValkey, name: str) -> str:
    return str(command(server, "CONFIG", "GET", name)[1].decode())


def _known_nodes(server: EmbeddedValkey) -> int:
    nodes = command(server, "CLUSTER", "NODES").decode()
    return len([line for line in nodes.splitlines() if "handshake" not in line])


def _holds_slots(server: EmbeddedValkey, port: bytes) -> bool:
    """Whether a server says that the one at this port is a primary with slots, and that none are lost."""
    nodes = command(server, "CLUSTER", "NODES").splitlines()
    fields = next(line.split() for line in nodes if port in line)
    lost = b"cluster_slots_fail:0" not in command(server, "CLUSTER", "INFO")
    return b"master" in fields[2] and len(fields) > 8 and not lost


def _is_whole(server: EmbeddedValkey) -> bool:
    info = command(server, "CLUSTER", "INFO").decode()
    return "cluster_state:ok" in info and f"cluster_slots_ok:{SLOTS}" in info


def _is_linked(server: EmbeddedValkey) -> bool:
    return "master_link_status:up" in command(server, "INFO", "replication").decode()


def _wait(what: str, is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        try:
            if is_so():
                return
        except RedisError:
            pass  # not listening yet
        time.sleep(_POLL_S)
    raise ConfigError(f"the embedded servers did not {what} in time")
