"""What an operator or embedder may set, as frozen values; unknown fields are refused."""

import re
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct

from tiered_cache.core.canonical.form import MAX_VALUES, PolicyMode
from tiered_cache.core.rules import Rule

MASK = "***"

Directive: TypeAlias = Literal[
    "no-store",
    "no-cache",
    "only-if-cached",
    "max-age",
    "min-fresh",
    "max-stale",
    "x-tiered-cache-ttl",
    "x-tiered-cache-replay",
    "x-tiered-cache-variant",
]
"""What a caller may ask, and an operator may forbid."""

_LOGIN = re.compile(r"(?<=://).*(?=@)|(?<=password=)[^&]*")


class Discreet(Struct, frozen=True):
    """A configuration that is printed without its secrets: in logs, tracebacks and shells."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Names and values as they may be seen."""
        return [(name, masked(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


def masked(name: str, value: Any) -> Any:
    """A field's value as it may be seen: no secret, and no user or password of a URL."""
    if value is None or value is UNSET:
        return value
    if name in {"secret", "upstream_key", "admin_token", "sentinel_password"}:
        return MASK
    return _LOGIN.sub(MASK, value) if name in {"url", "upstream"} else value


class MemoryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """L1 in process.

    Attributes:
        capacity_bytes: what entries and their renderings may weigh; None is unlimited.
    """

    capacity_bytes: int | None = 256 * 2**20


class DiskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """L1 on disk.

    Attributes:
        directory: created with mode 0700; `~` and environment variables in it are expanded.
        capacity_bytes: what values may weigh on disk.
        read_deadline_s: what a lookup may cost a caller.
        write_deadline_s: what a background write may take.
    """

    directory: str
    capacity_bytes: int = 10 * 2**30
    read_deadline_s: float = 0.1
    write_deadline_s: float = 5.0


class RedisConfig(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """L2, shared by processes and machines.

    Attributes:
        url: `redis://`, `rediss://`, `unix://`; `redis+sentinel://` or `redis+cluster://` with several hosts.
        prefix: first word of every key.
        read_deadline_s: what a lookup may cost a caller.
        write_deadline_s: what a background write may take.
        max_value_bytes: larger entries are not written there.
        compress_above_bytes: larger entries are compressed with zstd; None compresses none.
        protocol: version of RESP.
        ca_file: certificates that may sign the servers' beside the system's, for `rediss://`.
        sentinel_username, sentinel_password: login at the Sentinels.
        heartbeat_s: how often each node looks at the log of purges.
        unconfirmed_s: how long answers of memory and disk are used while that log cannot be read.
        lease_s: after so long without a sign of life a process that asks the origin on behalf of all is taken
            to be dead; 0 lets every process ask for itself.
    """

    url: str
    prefix: str = "tc"
    read_deadline_s: float = 0.025
    write_deadline_s: float = 1.0
    max_value_bytes: int = 64 * 2**20
    compress_above_bytes: int | None = None
    protocol: Literal[2, 3] = 2
    ca_file: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    heartbeat_s: float = 0.5
    unconfirmed_s: float = 300.0
    lease_s: float = 3.0


class CacheConfig(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine.

    Attributes:
        secret: seeds every key; needed with Redis, made at first use for disk alone, random for memory alone.
        origin_id: name of the upstream in the partition.
        profile: built-in lifetime table.
        rules: of the operator's own, before that table; the first that covers a call decides.
        identity_fields: whether `user`, `metadata` and the like join the key.
        policies: by the name behind `policy/`, what calls of that model share; others are not cached.
        default_models: by endpoint, what a body without a model asks for; others are not cached.
        key_headers: further request header fields that join the key.
        ignored_directives: of what callers may ask, what counts as not asked.
        tenants: SHA-256 (hex) of a key, without `Bearer `, to the name of its tenant.
        generic_paths: further paths whose JSON answers are stored, each with the seconds that they are fresh.
        max_body_bytes: larger request bodies are forwarded uncached.
        max_body_values: request bodies with more JSON values are forwarded uncached.
        max_entry_bytes: larger answers are forwarded, not stored.
        linger_s: how long a call lives on when its last caller has left.
        lookup_budget_s: what all tiers below memory together may cost one call, a batch included; None is the
            longest of their read deadlines.
        pending_writes: background writes that may wait; further ones are dropped and counted.
        pending_write_bytes: what they may weigh together.
    """

    secret: str | None = None
    origin_id: str = "default"
    profile: Literal["balanced", "strict", "aggressive", "unbounded"] = "balanced"
    rules: tuple[Rule, ...] = ()
    identity_fields: Literal["drop", "key"] = "drop"
    policies: dict[str, PolicyMode] = {}
    default_models: dict[str, str] = {}
    key_headers: tuple[str, ...] = ()
    ignored_directives: tuple[Directive, ...] = ()
    tenants: dict[str, str] = {}
    memory: MemoryConfig = MemoryConfig()
    disk: DiskConfig | None = None
    redis: RedisConfig | None = None
    generic_paths: dict[str, float] = {}
    max_body_bytes: int = 32 * 2**20
    max_body_values: int = MAX_VALUES
    max_entry_bytes: int = 8 * 2**20
    linger_s: float = 15.0
    lookup_budget_s: float | None = None
    pending_writes: int = 1000
    pending_write_bytes: int = 64 * 2**20
