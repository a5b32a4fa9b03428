"""`tiered-cache explain`: why a request has its key, and why two requests are not the same call."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tiered_cache.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from tiered_cache.core.keys import Keyer
    from tiered_cache.core.vocabulary import Headers, Request

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
            "TIERED_CACHE_SECRET if that is set, else with the published test secret."
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
    from tiered_cache.core.policy import PROFILES  # noqa: PLC0415

    keyer = _keyer()
    request = _request(args.request, args, keyer)
    told = explain(keyer, PROFILES["balanced"], request)
    if args.json:
        _print_json(told)
        print(f"the key is made with {_circumstances(request)}", file=sys.stderr)
    else:
        show_explanation(told, args.path, _circumstances(request))


def _two(args: argparse.Namespace) -> None:
    from tiered_cache.cli.explain_view import show_comparison  # noqa: PLC0415
    from tiered_cache.core.explain import compare  # noqa: PLC0415

    if args.request == args.other == "-":
        raise ConfigError("only one of the two requests can be standard input: name a file for the other")
    keyer = _keyer()
    told = compare(keyer, _request(args.request, args, keyer), _request(args.other, args, keyer))
    if args.json:
        _print_json(told)
    else:
        show_comparison(told, args.request, args.other)


def _print_json(told: object) -> None:
    from msgspec import json  # noqa: PLC0415

    print(json.format(json.encode(told), indent=2).decode())


def _keyer() -> "Keyer":
    from tiered_cache.core.keys import Keyer  # noqa: PLC0415

    return Keyer((os.environ.get(SECRET_VARIABLE) or TEST_SECRET).encode())


def _request(name: str, args: argparse.Namespace, keyer: "Keyer") -> "Request":
    from tiered_cache.core.vocabulary import Request, Scope  # noqa: PLC0415
    from tiered_cache.engine.callers import Callers  # noqa: PLC0415
    from tiered_cache.engine.credentials import Credentials  # noqa: PLC0415

    path, _, query_text = args.path.partition("?")
    query = query_text.encode()
    headers: Headers = tuple(args.header)
    caller = Callers(Credentials(keyer, TEST_ORIGIN, {}), frozenset()).read(headers, query)
    scope = Scope(TEST_TENANT, TEST_ORIGIN) if caller.scope is None else caller.scope
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


def _circumstances(request: "Request") -> str:
    """What the key depends on beside the request: which secret, which partition."""
    own = bool(os.environ.get(SECRET_VARIABLE))
    secret = f"the secret in {SECRET_VARIABLE}" if own else "the published test secret"
    scope = request.scope
    named = scope is not None and scope.tenant == TEST_TENANT
    tenant = f"tenant {TEST_TENANT}" if named else "the tenant of the credential given"
    return f"{secret}, {tenant}, origin {TEST_ORIGIN}"


def _header(text: str) -> tuple[bytes, bytes]:
    name, separator, value = text.partition(":")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header field: write 'Name: value'")
    return name.strip().lower().encode(), value.strip().encode()
