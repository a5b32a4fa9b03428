"""`tiered-cache purge`: has every node forget an answer, a tag, a model, a tenant or everything."""

import argparse
import getpass
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tiered_cache.errors import ConfigError

ADMIN_VARIABLE = "TIERED_CACHE_ADMIN_TOKEN"
_GATEWAY = "http://127.0.0.1:8080"
_TIMEOUT_S = 30.0
_PENDING = 3
"""Exit code where some nodes obey only when they are back."""


def register(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "purge",
        help="have all nodes forget answers: of a call, a key, a tag, a model, a tenant, or all",
        description=(
            "Ask a running gateway to purge. Its admin token is read from TIERED_CACHE_ADMIN_TOKEN. "
            "Exit code 0: every node obeys. 3: the log of purges cannot be reached; this gateway obeys, the "
            "others will when it is back."
        ),
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--request", metavar="FILE", help="the call with this body, - for standard input")
    what.add_argument("--key", metavar="KEY", help="one entry, by the key that explain gives")
    what.add_argument("--tag", metavar="TAG", help="all with this tag")
    what.add_argument("--model", metavar="MODEL", help="all of this model")
    what.add_argument("--everything", action="store_true", help="all of all tenants")
    what.add_argument("--whole-tenant", metavar="NAME", help="all of one tenant")
    parser.add_argument("--tenant", metavar="NAME", help="beside --tag or --model: of this tenant alone")
    parser.add_argument("--path", default="/v1/chat/completions", help="of --request")
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="of --request")
    parser.add_argument("--soft", action="store_true", help="leave it stale: replaced at its next use")
    parser.add_argument("--dry-run", action="store_true", help="only count what that gateway has in memory")
    parser.add_argument("--by", default=None, metavar="WHO", help="for the audit trail (default: your login)")
    parser.add_argument("--gateway", default=_GATEWAY, metavar="URL", help=f"default: {_GATEWAY}")
    parser.add_argument("--json", action="store_true", help="the gateway's own answer")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Purge and say what became of it. Raises ConfigError where the gateway does not do it."""
    status, record = _ask(args.gateway, _order(args))
    if args.json:
        print(json.dumps(record))
    else:
        print(_told(record))
    return _PENDING if status == 202 else 0


def _order(args: argparse.Namespace) -> dict[str, Any]:
    order: dict[str, Any] = {
        "soft": args.soft,
        "dry_run": args.dry_run,
        "by": getpass.getuser() if args.by is None else args.by,
    }
    if args.request is not None:
        return order | {
            "call": {"path": args.path, "headers": _headers(args.header), "body": _body(args.request)}
        }
    named = {
        "key": args.key,
        "tag": args.tag,
        "model": args.model,
        "tenant": args.tenant or args.whole_tenant,
    }
    what = {name: value for name, value in named.items() if value is not None}
    return order | {"what": what | ({"everything": True} if args.everything else {})}


def _body(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the request cannot be read: {error}") from error


def _headers(lines: list[str]) -> dict[str, str]:
    parted = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in parted}


def _ask(gateway: str, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    token = os.environ.get(ADMIN_VARIABLE)
    if not token:
        raise ConfigError(f"set {ADMIN_VARIABLE} to the admin token that the gateway was started with")
    if not gateway.startswith(("http://", "https://")):
        raise ConfigError("--gateway: write a URL such as http://127.0.0.1:8080")
    request = urllib.request.Request(  # noqa: S310 (the scheme has just been looked at)
        gateway.rstrip("/") + "/admin/purge",
        json.dumps(order).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 (as above)
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        raise ConfigError(_refusal(error)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"no gateway answers at {gateway}: {error}") from error


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        said = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = error.reason
    if error.code == 404:
        return f"this gateway has no admin side: start it with {ADMIN_VARIABLE} set"
    return f"the gateway says {error.code}: {said}"


def _told(record: dict[str, Any]) -> str:
    what = ", ".join(
        f"{name} {value}" for name, value in record["what"].items() if value not in (None, False)
    )
    count = f"{record['entries']} in the memory of this gateway"
    if record.get("dry_run"):
        return f"would purge {what}: {count}"
    done = f"purged {what}{' softly' if record.get('soft') else ''}: {count}"
    if record.get("complete", True):
        return done
    return f"{done}. The log of purges cannot be reached: the other nodes obey when it is back."
