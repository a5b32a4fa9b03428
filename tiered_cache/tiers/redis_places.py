"""Which server holds a key: the only one, the primary that Sentinels name, or a node of a cluster."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from msgspec import Struct
from redis.asyncio import Sentinel
from redis.asyncio.connection import Connection as TcpConnection
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tiered_cache.errors import ConfigError
from tiered_cache.tiers.redis_cluster import Cluster
from tiered_cache.tiers.redis_line import Connection
from tiered_cache.tiers.redis_node import Node, Troubled
from tiered_cache.tiers.redis_url import RedisAddress, read_redis_url


class PlaceOptions(Struct, frozen=True, kw_only=True):
    """How to connect.

    Attributes:
        read_timeout_s: what a round trip of lookups may take.
        write_timeout_s: what any other command may take, connecting included.
        protocol: version of RESP; 3 costs a new connection without login one more round trip.
        ca_file: certificates that may sign the servers', beside the system's.
        sentinel_username, sentinel_password: login at the Sentinels, who have one of their own.
    """

    read_timeout_s: float = 0.025
    write_timeout_s: float = 1.0
    protocol: int = 2
    ca_file: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None


class Place(Protocol):
    """Knows where keys are. Making one does no network I/O.

    Attributes:
        divided: keys are on several servers, each of which may fail while the others do not.
    """

    divided: bool

    def node_of(self, name: bytes, /) -> Node | None:
        """The server that holds a key; None when that is not known yet."""
        ...

    async def find(self, name: bytes, /) -> Node:
        """As `node_of`, after asking. Raises TierUnavailableError."""
        ...

    async def nodes(self) -> Sequence[Node]:
        """Every server that holds keys. Raises TierUnavailableError."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


async def node_for(place: Place, name: bytes) -> Node:
    """The server that holds a key, asked for where that is not known yet. Raises TierUnavailableError."""
    node = place.node_of(name)
    return await place.find(name) if node is None else node


def open_place(url: str, options: PlaceOptions) -> Place:
    """The place that a URL names; reads certificates, connects to nothing.

    Raises:
        ConfigError: the URL or the CA file cannot be used. The message does not repeat the URL.
    """
    address = read_redis_url(url)
    try:
        arguments = _arguments(address, options)
        match address.topology:
            case "server":
                return _server(arguments, options)
            case "sentinel":
                return _watched(address, arguments, options)
            case "cluster":
                return _cluster(address, arguments, options)
    except OSError as error:
        raise ConfigError(f"the Redis tier's certificates cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, RedisError):
        raise ConfigError("the Redis URL has an option that redis-py does not take") from None


def _arguments(address: RedisAddress, options: PlaceOptions) -> dict[str, Any]:
    """What redis-py makes a connection from, the host of the URL included."""
    parsed = cast("dict[str, Any]", parse_url(address.url))
    if options.ca_file is not None:
        if parsed.get("connection_class") is not SSLConnection:
            raise ConfigError("a ca_file is for rediss:// alone: this connection would not be encrypted")
        parsed["ssl_ca_certs"] = options.ca_file
    return {
        "driver_info": None,  # redis-py would read package metadata from disk
        "protocol": options.protocol,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": options.write_timeout_s,
        "socket_timeout": options.write_timeout_s,  # while it logs in: a line has deadlines of its own
        **parsed,
    }


class _Connector:
    """Makes redis-py's connections, all with one TLS context: reading certificates takes long."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._class: Any = arguments.pop("connection_class", TcpConnection)
        self._arguments = arguments
        self._tls: Any = self._class(**arguments).ssl_context if self._class is SSLConnection else None
        if self._tls is not None:
            self._tls.get()

    def __call__(self, **place: Any) -> Connection:
        """A connection that is not open yet, to another host and port if they are given."""
        connection = self._class(**{**self._arguments, **place})
        if self._tls is not None:
            connection.ssl_context = self._tls
        return cast("Connection", connection)


class _OneServer:
    """All keys on one server.

    Args:
        node: that server.
        sentinel: asked for it by each new connection.
        pool: whose connections they are; they hold it weakly.
    """

    def __init__(self, node: Node, sentinel: Sentinel | None = None, pool: object = None) -> None:
        self._node = node
        self._sentinel = sentinel
        self._pool = pool

    divided = False

    def node_of(self, _name: bytes) -> Node:
        """That server."""
        return self._node

    async def find(self, _name: bytes) -> Node:
        """That server."""
        return self._node

    async def nodes(self) -> Sequence[Node]:
        """That server."""
        return (self._node,)

    async def close(self) -> None:
        """Close all connections."""
        await self._node.close()
        if self._sentinel is not None:
            with suppress(RedisError, OSError):
                await self._sentinel.aclose()


def _server(arguments: dict[str, Any], options: PlaceOptions) -> _OneServer:
    return _OneServer(Node(_Connector(arguments), options.read_timeout_s, options.write_timeout_s))


def _watched(address: RedisAddress, arguments: dict[str, Any], options: PlaceOptions) -> _OneServer:
    tls = arguments.pop("connection_class", None) is SSLConnection
    shared = {
        name: value
        for name, value in arguments.items()
        if name not in {"host", "port", "db", "username", "password"}
    }
    # Sentinels are asked one after the other: all of them must have their turn before a line gives up.
    patience_s = options.write_timeout_s / (len(address.hosts) + 1)
    sentinel = cast("Any", Sentinel)(
        address.hosts,
        sentinel_kwargs={
            **shared,
            "ssl": tls,
            "socket_connect_timeout": patience_s,
            "socket_timeout": patience_s,
            "username": options.sentinel_username,
            "password": options.sentinel_password,
        },
    )
    del arguments["host"], arguments["port"]
    pool: Any = cast("Any", SentinelConnectionPool)(address.service, sentinel, ssl=tls, **arguments)

    def connect() -> Connection:
        return cast("Connection", pool.make_connection())

    node = Node(
        connect,
        options.read_timeout_s,
        options.write_timeout_s,
        # A primary that was demoted says so: the next connection asks the Sentinels anew.
        troubled=lambda word: node.reconnect() if word == "READONLY" else None,
    )
    return _OneServer(node, sentinel, pool)


def _cluster(address: RedisAddress, arguments: dict[str, Any], options: PlaceOptions) -> Cluster:
    connector = _Connector(arguments)

    def connect(host: str, port: int, troubled: Troubled) -> Node:
        return Node(
            lambda: connector(host=host, port=port),
            options.read_timeout_s,
            options.write_timeout_s,
            troubled,
        )

    return Cluster(address.hosts, connect)
