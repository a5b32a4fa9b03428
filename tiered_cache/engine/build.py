"""The composition root: configuration to parts."""

import contextlib
import os
import secrets
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.canonical import KeyOptions
from tiered_cache.core.keys import Keyer
from tiered_cache.core.profiles import PROFILES, Profile, Row, unbounded
from tiered_cache.core.rules import named
from tiered_cache.core.zstd import ZSTD
from tiered_cache.engine.backplane import Backplane
from tiered_cache.engine.checks import check_cache
from tiered_cache.engine.claiming import FleetOptions
from tiered_cache.engine.coherence import Coherence
from tiered_cache.engine.config import CacheConfig, DiskConfig, RedisConfig
from tiered_cache.engine.fleet import Board
from tiered_cache.engine.purge_keepers import JournalKeeper, Keeper, ProcessKeeper
from tiered_cache.engine.purge_view import PurgeView
from tiered_cache.errors import ConfigError, MissingExtraError
from tiered_cache.tiers.base import Clock, Tier
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.memory import MemoryTier
from tiered_cache.tiers.purge_journal import PurgeJournal

if TYPE_CHECKING:
    from tiered_cache.tiers.redis_places import PlaceOptions

_LEAST_SECRET_BYTES = 16


class Parts(Struct, frozen=True):
    """What a cache is made of.

    Attributes:
        lower: guarded tiers below memory, nearest first.
        draw: a random number below another one.
        flight_board: where processes claim flights, if they do.
        fleet_options: how they work together.
    """

    config: CacheConfig
    clock: Clock
    keyer: Keyer
    profile: Profile
    memory: MemoryTier
    coherence: Coherence
    lower: tuple[GuardedTier, ...] = ()
    draw: Callable[[int], int] = secrets.randbelow
    flight_board: Board | None = None
    fleet_options: FleetOptions = FleetOptions()


def build(config: CacheConfig, clock: Clock) -> Parts:
    """Parts for `config`; touches the disk where a disk tier is asked for, never the network.

    Raises:
        ConfigError: a secret is missing or short, a directory or another value cannot be used.
    """
    check_cache(config)
    config = _with_whole_path(config)
    keyer = keyer_of(config, _secret(config))
    lower: list[GuardedTier] = []
    if config.disk is not None:
        lower.append(_guarded_disk(config.disk, clock))
    board: Board | None = None
    options = FleetOptions()
    if config.redis is not None:
        shared = _guarded_redis(config.redis, clock)
        lower.append(shared)
        board = _flight_board(config.redis)
        options = FleetOptions(
            lease_s=config.redis.lease_s, claim_s=config.redis.read_deadline_s, sound=shared.sound
        )
    memory = MemoryTier(config.memory.capacity_bytes, clock)
    return Parts(
        config,
        clock,
        keyer,
        profile_of(config),
        memory,
        _coherence(config, keyer, memory, clock),
        tuple(lower),
        flight_board=board,
        fleet_options=options,
    )


def keyer_of(config: CacheConfig, secret: bytes) -> Keyer:
    """The keyer under this secret, with all that the operator chose about keys."""
    options = KeyOptions(
        identity_fields=config.identity_fields,
        policies=config.policies,
        generic_paths=frozenset(config.generic_paths),
        max_values=config.max_body_values,
    )
    return Keyer(secret, options, default_models=config.default_models, rules=config.rules)


def profile_of(config: CacheConfig) -> Profile:
    """The lifetime table asked for, with the operator's paths and rules before it."""
    profile = unbounded() if config.profile == "unbounded" else PROFILES[config.profile]
    paths = [
        Row(name="generic", endpoints=(path,), fresh_s=fresh_s, collapse=True)
        for path, fresh_s in config.generic_paths.items()
    ]
    return replace(profile, rows=(*paths, *profile.rows), rules=named(config.rules))


def _with_whole_path(config: CacheConfig) -> CacheConfig:
    """`~` and variables in the disk's directory are expanded once, for the secret and the entries alike."""
    if config.disk is None:
        return config
    directory = os.path.expandvars(os.path.expanduser(config.disk.directory))  # noqa: PTH111  # as diskcache
    return replace(config, disk=replace(config.disk, directory=directory))


def _secret(config: CacheConfig) -> bytes:
    if config.secret is not None:
        secret = config.secret.encode()
        if len(secret) < _LEAST_SECRET_BYTES:
            raise ConfigError(f"the secret is shorter than {_LEAST_SECRET_BYTES} bytes: give a longer one")
        return secret
    if config.redis is not None:
        raise ConfigError(
            "Redis is shared, so keys need a secret that all its users have: give CacheConfig(secret=…),"
            " or set TIERED_CACHE_SECRET for the command line"
        )
    if config.disk is not None:
        return _kept_secret(Path(config.disk.directory))
    return secrets.token_bytes(32)


def _kept_secret(directory: Path) -> bytes:
    """The secret of a disk cache that nobody else shares, made at its first use."""
    path = directory / "secret"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, secrets.token_hex(32))
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the disk cache's directory cannot be used: {error.strerror}") from error
    if len(secret) < _LEAST_SECRET_BYTES:
        raise ConfigError(
            "the disk cache's secret file is empty or cut: delete the directory to start afresh"
        )
    return secret


def _write_once(path: Path, text: str) -> None:
    """Two processes that start at once agree: a link fails where the name is taken."""
    draft = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _coherence(config: CacheConfig, keyer: Keyer, memory: MemoryTier, clock: Clock) -> Coherence:
    """Purges are kept where the entries are that live longest: in Redis, on disk, or in this process."""
    bound_s = inf if config.redis is None else config.redis.unconfirmed_s
    view = PurgeView(memory, clock, bound_s)
    keeper: Keeper = ProcessKeeper(view)
    if config.redis is not None:
        keeper = _backplane(config.redis, view)
    elif config.disk is not None:
        keeper = JournalKeeper(view, PurgeJournal(config.disk.directory))
    return Coherence(keyer, memory, view, keeper)


def _backplane(config: RedisConfig, view: PurgeView) -> Backplane:
    from tiered_cache.tiers.purge_board import PurgeBoard  # noqa: PLC0415 (loads redis-py)

    board = PurgeBoard(config.url, prefix=config.prefix, options=_place_options(config))
    return Backplane(view, board, config.heartbeat_s)


def _flight_board(config: RedisConfig) -> Board | None:
    if config.lease_s == 0:
        return None
    from tiered_cache.tiers.flight_board import FlightBoard  # noqa: PLC0415 (loads redis-py)

    return FlightBoard(config.url, prefix=config.prefix, options=_place_options(config))


def _guarded(tier: Tier, clock: Clock, read_deadline_s: float, write_deadline_s: float) -> GuardedTier:
    return GuardedTier(tier, read_deadline_s=read_deadline_s, write_deadline_s=write_deadline_s, clock=clock)


def _guarded_disk(config: DiskConfig, clock: Clock) -> GuardedTier:
    from tiered_cache.tiers.disk import DiskTier  # noqa: PLC0415 (diskcache loads only where a disk is used)

    tier = DiskTier(config.directory, config.capacity_bytes, clock)
    tier.begin()
    return _guarded(tier, clock, config.read_deadline_s, config.write_deadline_s)


def _guarded_redis(config: RedisConfig, clock: Clock) -> GuardedTier:
    if config.compress_above_bytes is not None and ZSTD is None:
        raise MissingExtraError("compression", "zstd")
    from tiered_cache.tiers.redis import RedisTier  # noqa: PLC0415 (redis-py loads only where it is used)

    tier = RedisTier(
        config.url,
        prefix=config.prefix,
        options=_place_options(config),
        max_value_bytes=config.max_value_bytes,
        compress_above_bytes=config.compress_above_bytes,
    )
    return GuardedTier(
        tier,
        read_deadline_s=config.read_deadline_s,
        write_deadline_s=config.write_deadline_s,
        part_of=tier.part_of,
        clock=clock,
    )


def _place_options(config: RedisConfig) -> "PlaceOptions":
    from tiered_cache.tiers.redis_places import PlaceOptions  # noqa: PLC0415 (as above)

    return PlaceOptions(
        read_timeout_s=config.read_deadline_s,
        write_timeout_s=config.write_deadline_s,
        protocol=config.protocol,
        ca_file=config.ca_file,
        sentinel_username=config.sentinel_username,
        sentinel_password=config.sentinel_password,
    )
