"""Refuses configurations that could only fail later: each complaint says what to change."""

import math
import re
from typing import get_args

from tiered_cache.engine.config import CacheConfig, Directive, DiskConfig, RedisConfig
from tiered_cache.engine.path_checks import check_paths
from tiered_cache.engine.rule_checks import check_models, check_rules
from tiered_cache.errors import ConfigError
from tiered_cache.tiers.redis_url import read_redis_url

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_cache(config: CacheConfig) -> None:
    """Return if the engine can work as configured. Raises ConfigError."""
    _demand_sizes(
        max_body_bytes=config.max_body_bytes,
        max_body_values=config.max_body_values,
        max_entry_bytes=config.max_entry_bytes,
        pending_writes=config.pending_writes,
        pending_write_bytes=config.pending_write_bytes,
        memory_capacity_bytes=config.memory.capacity_bytes,
    )
    if not (math.isfinite(config.linger_s) and config.linger_s >= 0):
        raise ConfigError("linger_s must be a number of seconds, zero or more")
    if config.lookup_budget_s is not None:
        demand_seconds(lookup_budget_s=config.lookup_budget_s)
    check_keys(config)
    if config.disk is not None:
        _check_disk(config.disk)
    if config.redis is not None:
        _check_redis(config.redis)


def check_keys(config: CacheConfig) -> None:
    """Return if calls can be keyed and ruled as configured. Raises ConfigError."""
    for name in config.key_headers:
        if not _FIELD_NAME.fullmatch(name):
            raise ConfigError("key_headers: each must be the name of a header field, such as x-team")
    for directive in config.ignored_directives:
        if directive not in get_args(Directive):
            known = ", ".join(get_args(Directive))
            raise ConfigError(f"ignored_directives: {directive!r} is none; there are {known}")
    _check_tenants(config.tenants)
    check_paths(config.generic_paths)
    check_rules(config.rules, config.generic_paths)
    check_models(config.policies, config.default_models)


def demand_seconds(**values: float) -> None:
    """Refuse time-outs that never come or come at once. Raises ConfigError."""
    for name, seconds in values.items():
        if not (math.isfinite(seconds) and seconds > 0):
            raise ConfigError(f"{name} must be a number of seconds above zero")


def _demand_sizes(**values: int | None) -> None:
    for name, size in values.items():
        if size is not None and size < 0:
            raise ConfigError(f"{name} must not be negative")


def _check_tenants(tenants: dict[str, str]) -> None:
    for digest, tenant in tenants.items():
        if not _DIGEST.fullmatch(digest):
            raise ConfigError("tenants: each name must be the SHA-256 of a key, 64 lower-case hex digits")
        if not tenant:
            raise ConfigError("tenants: a tenant's name must not be empty")


def _check_disk(disk: DiskConfig) -> None:
    _demand_sizes(disk_capacity_bytes=disk.capacity_bytes)
    demand_seconds(disk_read_deadline_s=disk.read_deadline_s, disk_write_deadline_s=disk.write_deadline_s)
    if not disk.directory.strip() or "\0" in disk.directory:
        raise ConfigError("the disk tier needs a directory: give its path (see --disk)")


def _check_redis(redis: RedisConfig) -> None:
    demand_seconds(redis_read_deadline_s=redis.read_deadline_s, redis_write_deadline_s=redis.write_deadline_s)
    demand_seconds(redis_heartbeat_s=redis.heartbeat_s, redis_unconfirmed_s=redis.unconfirmed_s)
    if redis.lease_s != 0:
        demand_seconds(redis_lease_s=redis.lease_s)
    _demand_sizes(
        redis_max_value_bytes=redis.max_value_bytes, redis_compress_above_bytes=redis.compress_above_bytes
    )
    read_redis_url(redis.url)
