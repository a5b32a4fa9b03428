"""`tiered-cache explain`: why a request has its key, and why two requests are not the same call."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tiered_cache.cli.arguments import config_file
from tiered_cache.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from tiered_cache.core.keys import Keyer
    from tiered_cache.core.vocabulary import Headers, Request
    from tiered_cache.engine.config import CacheConfig

SECRET_VARIABLE = "TIERED_CACHE_SECRET"  # noqa: S105  # the variable's name, not its value
TEST_SECRET = "published test secret, never use it"  # noqa: S105  # published with the golden vectors
TEST_TENANT = "acme"
TEST_ORIGIN = "https://origin.example:443/v1"
"""The golden vectors' own, so that anybody gets the published keys."""

_PREFIX = "/v1/"


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "explain",
        help="show the key of a request and why, or why two requests differ",
        description=(
            "Show what the cache makes of a request body: canonical form, what is not in the key and why, "
            "rule, lifetime, edits, key. With OTHER: where the two differ. The key is made with "
            "TIERED_CACHE_SECRET if that is set, else with the secret of --config, else with the published "
            "test secret."
        ),
    )
    parser.add_argument("request", metavar="REQUEST", help="file with a request body, - for standard input")
    parser.add_argument("other", metavar="OTHER", nargs="?", help="another one, to be compared")
    parser.add_argument(
        "--path",
        default="/v1/chat/completions",
        metavar="PATH",
        help="where it is sent, query and all (default: /v1/chat/completions)",
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="a header field of the call; may be repeated",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take rules, profile, tenants of this TOML file's [cache]"
    )
    parser.add_argument(
        "--tenant", metavar="NAME", help="who asks, instead of the tenant of the credential in a header field"
    )
    parser.add_argument("--json", action="store_true", help="JSON for tools instead of a page for people")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain and print. Raises ConfigError for input that cannot be used."""
    try:
        if args.other is None:
            _one(args)
        else:
            _two(args)
    except RequestError as error:
        raise ConfigError(f"a request cannot be explained: {error}") from error
    return 0


def _one(args: argparse.Namespace) -> None:
    from tiered_cache.cli.explain_view import show_explanation  # noqa: PLC0415  # a verb loads only what it runs
    from tiered_cache.core.explain import explain  # noqa: PLC0415
    from tiered_cache.engine.build import profile_of  # noqa: PLC0415

    config = _config(args.config)
    keyer = _keyer(config)
    request = _request(args.request, args, keyer, config)
    told = explain(keyer, profile_of(config), request)
    circumstances = _circumstances(request, args, config)
    if args.json:
        _print_json(told)
        print(f"the key is made with {circumstances}", file=sys.stderr)
    else:
        show_explanation(told, args.path, circumstances)


def _two(args: argparse.Namespace) -> None:
    from tiered_cache.cli.explain_view import show_comparison  # noqa: PLC0415
    from tiered_cache.core.explain import compare  # noqa: PLC0415

    if args.request == args.other == "-":
        raise ConfigError("only one of the two requests can be standard input: name a file for the other")
    config = _config(args.config)
    keyer = _keyer(config)
    requests = (_request(name, args, keyer, config) for name in (args.request, args.other))
    told = compare(keyer, *requests)
    if args.json:
        _print_json(told)
    else:
        show_comparison(told, args.request, args.other)


def _print_json(told: object) -> None:
    from msgspec import json  # noqa: PLC0415

    print(json.format(json.encode(told), indent=2).decode())


def _config(file: Path | None) -> "CacheConfig":
    """The engine's configuration in a file; without one the defaults. Raises ConfigError."""
    from tiered_cache.engine.checks import check_keys  # noqa: PLC0415
    from tiered_cache.engine.config import CacheConfig  # noqa: PLC0415

    if file is None:
        return CacheConfig()
    config = config_file(file).cache
    check_keys(config)
    return config


def _keyer(config: "CacheConfig") -> "Keyer":
    from tiered_cache.engine.build import keyer_of  # noqa: PLC0415

    secret = os.environ.get(SECRET_VARIABLE) or config.secret or TEST_SECRET
    return keyer_of(config, secret.encode())


def _request(name: str, args: argparse.Namespace, keyer: "Keyer", config: "CacheConfig") -> "Request":
    from tiered_cache.core.vocabulary import Request, Scope  # noqa: PLC0415
    from tiered_cache.engine.callers import Callers  # noqa: PLC0415
    from tiered_cache.engine.credentials import Credentials  # noqa: PLC0415

    path, _, query_text = args.path.partition("?")
    query = query_text.encode()
    headers: Headers = tuple(args.header)
    credentials = Credentials(keyer, TEST_ORIGIN, config.tenants)
    caller = Callers(credentials, config).read(headers, query)
    scope = caller.scope
    if args.tenant is not None or scope is None:
        scope = Scope(args.tenant or TEST_TENANT, TEST_ORIGIN)
    return Request(_endpoint(path), _body(name), scope, headers, query, caller.ask)


def _endpoint(path: str) -> str:
    if not path.startswith(_PREFIX) or len(path) == len(_PREFIX):
        raise ConfigError(f"--path {path} is no API path: write for example /v1/chat/completions")
    return path[len(_PREFIX) :]


def _body(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error


def _circumstances(request: "Request", args: argparse.Namespace, config: "CacheConfig") -> str:
    """What the key depends on beside the request: which secret, which partition."""
    secret = "the published test secret" if config.secret is None else "the secret of the file"
    if os.environ.get(SECRET_VARIABLE):
        secret = f"the secret in {SECRET_VARIABLE}"
    scope = request.scope
    assert scope is not None
    derived = args.tenant is None and scope.credential
    tenant = "the tenant of the credential given" if derived else f"tenant {scope.tenant}"
    return f"{secret}, {tenant}, origin {TEST_ORIGIN}"


def _header(text: str) -> tuple[bytes, bytes]:
    name, separator, value = text.partition(":")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header field: write 'Name: value'")
    return name.strip().lower().encode(), value.strip().encode()
