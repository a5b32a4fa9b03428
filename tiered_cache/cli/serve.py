"""`tiered-cache serve`: the gateway, configured by file, flags and environment, flags over file."""

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tiered_cache.cli.arguments import config_file, seconds, size_bytes

if TYPE_CHECKING:
    from tiered_cache.gateway.config import GatewayConfig

_LEVELS = ("debug", "info", "warning", "error")
_PRIVATE_LOGGERS = ("httpx2", "httpcore2")
"""Loggers that write URLs and field lines, in which callers may put keys."""


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "serve",
        help="run the caching gateway in front of an LLM API",
        description=(
            "Run the gateway: POST /v1/chat/completions, /v1/messages, /v1/responses and the other inference "
            "routes are answered from the cache, everything else under /v1 is sent on. "
            "Secrets come from the environment: "
            "TIERED_CACHE_SECRET (needed with --redis), "
            "REQUESTY_API_KEY (sent upstream instead of the callers' keys)."
        ),
    )
    upstream = parser.add_mutually_exclusive_group()
    upstream.add_argument("--upstream", metavar="URL", help="API base as SDKs take it, ending in /v1")
    upstream.add_argument("--eu", action="store_true", help="Requesty's EU endpoint as upstream")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any (default: 8080)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file; flags win over it")
    parser.add_argument("--redis", metavar="URL", help="shared second tier, e.g. redis://HOST")
    parser.add_argument("--disk", metavar="DIR", help="disk tier in this directory")
    parser.add_argument(
        "--memory", metavar="SIZE", type=size_bytes, default=..., help="memory tier, e.g. 512MiB"
    )
    parser.add_argument(
        "--max-body", metavar="SIZE", type=size_bytes, default=..., help="larger cacheable calls get 413"
    )
    parser.add_argument(
        "--credentials",
        choices=("auto", "pass", "inject"),
        help="whose API key goes upstream (default: auto)",
    )
    parser.add_argument(
        "--drain", metavar="SECONDS", type=seconds, help="for answers under way at SIGTERM (default: 30)"
    )
    parser.add_argument("--log-level", choices=_LEVELS, help="default: info")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal. Raises ConfigError."""
    from tiered_cache.gateway import server  # noqa: PLC0415  # a verb loads only what it runs

    config = configured(args)
    _log_to_stderr(config.log_level)
    server.run(config, lambda url: print(f"listening on {url}", flush=True))
    return 0


def configured(args: argparse.Namespace) -> "GatewayConfig":
    """The configuration that file, flags and environment make together. Raises ConfigError."""
    from tiered_cache.gateway.config import GatewayConfig, check, with_environment  # noqa: PLC0415

    config = GatewayConfig() if args.config is None else config_file(args.config)
    return check(with_environment(_with_cache_flags(_with_flags(config, args), args), os.environ))


def _with_flags(config: "GatewayConfig", args: argparse.Namespace) -> "GatewayConfig":
    from tiered_cache.integrations.requesty import EU_URL  # noqa: PLC0415

    flags: dict[str, Any] = {
        "upstream": EU_URL if args.eu else args.upstream,
        "host": args.host,
        "port": args.port,
        "credentials": args.credentials,
        "drain_s": args.drain,
        "log_level": args.log_level,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    if args.max_body is not ...:
        given["max_body_bytes"] = "unlimited" if args.max_body is None else args.max_body
    return replace(config, **given)


def _with_cache_flags(config: "GatewayConfig", args: argparse.Namespace) -> "GatewayConfig":
    """Tiers of the file keep their other settings when a flag changes one."""
    from tiered_cache.engine.config import DiskConfig, MemoryConfig, RedisConfig  # noqa: PLC0415

    cache = config.cache
    if args.memory is not ...:
        cache = replace(cache, memory=MemoryConfig(capacity_bytes=args.memory))
    if args.disk is not None:
        disk = DiskConfig(directory=args.disk) if cache.disk is None else cache.disk
        cache = replace(cache, disk=replace(disk, directory=args.disk))
    if args.redis is not None:
        redis = RedisConfig(url=args.redis) if cache.redis is None else cache.redis
        cache = replace(cache, redis=replace(redis, url=args.redis))
    return replace(config, cache=cache)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _PRIVATE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
