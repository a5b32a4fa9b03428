"""What the operator of a gateway may set: a frozen tree from TOML, its secrets from the environment."""

import ipaddress
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from tiered_cache.engine.config import CacheConfig, Discreet
from tiered_cache.errors import ConfigError
from tiered_cache.integrations.requesty import GLOBAL_URL

SECRET_VARIABLE = "TIERED_CACHE_SECRET"  # noqa: S105  # the variable's name, not its value
KEY_VARIABLE = "REQUESTY_API_KEY"
ADMIN_VARIABLE = "TIERED_CACHE_ADMIN_TOKEN"

_LEAST_TOKEN = 16
"""Characters of an admin token; fewer can be guessed."""

_HEX = frozenset("0123456789abcdef")


class GatewayConfig(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway and the cache in it.

    Attributes:
        upstream: API base as SDKs take it, `…/v1`.
        host: address to listen on.
        port: TCP port; 0 lets the system choose.
        cache: the engine.
        credentials: `pass` sends the caller's credential on, `inject` sends the upstream key instead;
            `auto` injects when an upstream key is set.
        client_keys: SHA-256 (hex) of each key that callers may use, to the name of its tenant.
        max_body_bytes: larger bodies on cacheable routes are answered with 413; other routes stream.
        connect_timeout_s, read_timeout_s: towards the upstream.
        drain_s: how long answers under way may take after SIGTERM, whole seconds.
        metrics: whether `/metrics` is served.
        log_level: of the program's log on stderr.
        admin_token: opens `/admin/explain`; None leaves it closed.
        upstream_key: the injected credential; only ever from the environment.
    """

    upstream: str = GLOBAL_URL
    host: str = "127.0.0.1"
    port: int = 8080
    cache: CacheConfig = CacheConfig()
    credentials: Literal["auto", "pass", "inject"] = "auto"
    client_keys: dict[str, str] = {}  # noqa: RUF012  # msgspec gives each its own
    max_body_bytes: int | Literal["unlimited"] = 32 * 2**20
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 600.0
    drain_s: int = 30
    metrics: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    admin_token: str | None = None
    upstream_key: str | UnsetType = UNSET

    @property
    def injects(self) -> bool:
        """Whether callers' credentials end here and the upstream key is sent instead."""
        return self.credentials == "inject" or (self.credentials == "auto" and self.upstream_key is not UNSET)

    @property
    def body_limit_bytes(self) -> int | None:
        """What a body on a cacheable route may weigh; None is unlimited."""
        return None if self.max_body_bytes == "unlimited" else self.max_body_bytes


def read_config(toml: bytes, name: str) -> GatewayConfig:
    """The configuration in a TOML text; `name` is what error messages call it. Raises ConfigError."""
    try:
        config = msgspec.toml.decode(toml, type=GatewayConfig)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: the file is not UTF-8 text") from error
    if config.upstream_key is not UNSET:
        raise ConfigError(f"{name}: upstream_key does not belong in a file: set {KEY_VARIABLE} instead")
    return config


def with_environment(config: GatewayConfig, environment: Mapping[str, str]) -> GatewayConfig:
    """`config` with the secrets that the environment holds; an empty variable counts as not set."""
    secret, key = environment.get(SECRET_VARIABLE), environment.get(KEY_VARIABLE)
    if secret:
        config = replace(config, cache=replace(config.cache, secret=secret))
    token = environment.get(ADMIN_VARIABLE)
    if token:
        config = replace(config, admin_token=token)
    return replace(config, upstream_key=key) if key else config


def check(config: GatewayConfig) -> GatewayConfig:
    """`config` itself when it can be served. Raises ConfigError that says what to change."""
    _check_upstream(config.upstream)
    _check_numbers(config)
    _check_credentials(config)
    if config.admin_token is not None and len(config.admin_token) < _LEAST_TOKEN:
        raise ConfigError(
            f"admin_token is shorter than {_LEAST_TOKEN} characters: set a longer {ADMIN_VARIABLE}"
        )
    if config.cache.redis is not None and not config.cache.secret:
        raise ConfigError(
            f"a shared Redis needs a secret that all its gateways have: set {SECRET_VARIABLE}"
            " (for example to the output of: openssl rand -hex 32)"
        )
    return config


def _check_upstream(upstream: str) -> None:
    scheme, separator, rest = upstream.partition("://")
    if not separator or scheme not in {"http", "https"} or not rest.strip("/"):
        raise ConfigError("upstream must be a URL such as https://router.requesty.ai/v1 (see --upstream)")
    if "?" in rest or "#" in rest or "@" in rest:
        raise ConfigError("upstream must have no query, fragment or user name: it is the API base alone")


def _check_numbers(config: GatewayConfig) -> None:
    if not 0 <= config.port <= 65535:
        raise ConfigError("port must be between 0 and 65535")
    if config.drain_s < 0:
        raise ConfigError("drain_s must not be negative (0 ends answers under way at once)")
    limit = config.body_limit_bytes
    if limit is not None and limit < 0:
        raise ConfigError('max_body_bytes must not be negative (use "unlimited" for no limit)')
    if config.connect_timeout_s <= 0 or config.read_timeout_s <= 0:
        raise ConfigError("connect_timeout_s and read_timeout_s must be above zero")


def _check_credentials(config: GatewayConfig) -> None:
    for digest in config.client_keys:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise ConfigError("client_keys: each name must be the SHA-256 of a key, 64 lower-case hex digits")
    if config.injects and config.upstream_key is UNSET:
        raise ConfigError(f'credentials = "inject" needs the upstream key: set {KEY_VARIABLE}')
    if config.client_keys and not config.injects:
        raise ConfigError(f"client_keys need an upstream key to send instead: set {KEY_VARIABLE}")
    if config.injects and not config.client_keys and not is_loopback(config.host):
        raise ConfigError(
            f"{KEY_VARIABLE} would be spent by anyone who reaches {config.host}: set client_keys,"
            ' listen on 127.0.0.1, or set credentials = "pass"'
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
