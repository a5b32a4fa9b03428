"""Reads the address of a Redis: one server, a group watched by Sentinels, or a cluster."""

from typing import Literal, NoReturn, TypeAlias
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from tiered_cache.errors import ConfigError

Topology: TypeAlias = Literal["server", "sentinel", "cluster"]

_TOPOLOGIES: dict[str, Topology] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
_DEFAULT_PORTS: dict[Topology, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}


class RedisAddress(Struct, frozen=True):
    """Where Redis is.

    Attributes:
        topology: what stands there.
        hosts: names or addresses with their ports: the server, the Sentinels, or some nodes of the cluster;
            empty for a Unix socket.
        url: of a single server as redis-py reads it, with user, password, database and options.
        service: the name under which Sentinels know the group, else empty.
    """

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    url: str
    service: str = ""


def read_redis_url(text: str) -> RedisAddress:
    """The address in `text`. Raises ConfigError, which never repeats it: it may hold a password."""
    try:
        scheme, _, rest = text.partition("://")
        base, _, kind = scheme.partition("+")
        if scheme == "unix":
            return _unix(text)
        if base not in {"redis", "rediss"} or kind not in _TOPOLOGIES or (not kind and "+" in scheme):
            _refuse()
        return _network(base, _TOPOLOGIES[kind], rest)
    except ValueError:
        _refuse()


def _unix(text: str) -> RedisAddress:
    if urlsplit(text).path in {"", "/"}:
        _refuse()
    return RedisAddress("server", (), text)


def _network(base: str, topology: Topology, rest: str) -> RedisAddress:
    parts = urlsplit(f"//{rest}")
    login, at, places = parts.netloc.rpartition("@")
    hosts = [_host(place, _DEFAULT_PORTS[topology]) for place in places.split(",")]
    if topology == "server" and len(hosts) > 1:
        _refuse()
    service, database = "", parts.path.removeprefix("/")
    if topology == "sentinel":
        service, _, database = database.partition("/")
    stated = database or parse_qs(parts.query).get("db", [""])[0]
    if stated and not (stated.isascii() and stated.isdigit()):
        _refuse()
    if (topology == "sentinel") is not bool(service) or (topology == "cluster" and int(stated or 0)):
        _refuse()
    host, port = hosts[0]
    query = f"?{parts.query}" if parts.query else ""
    name = f"[{host}]" if ":" in host else host
    return RedisAddress(
        topology, tuple(hosts), f"{base}://{login}{at}{name}:{port}/{database}{query}", service
    )


def _host(place: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    port = default_port if parts.port is None else parts.port
    if not parts.hostname or port == 0:
        _refuse()
    return parts.hostname, port


def _refuse() -> NoReturn:
    raise ConfigError(
        "the Redis URL cannot be used: give one such as redis://host:6379/0, rediss://host, unix:///path,"
        " redis+sentinel://host1,host2/service or redis+cluster://host1,host2"
    ) from None
