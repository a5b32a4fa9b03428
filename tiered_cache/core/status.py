"""Writes how a call was answered as a Cache-Status field (RFC 9211)."""

import re
from math import floor

from tiered_cache.core.structured import is_list
from tiered_cache.core.vocabulary import Outcome

_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_USUAL = frozenset({"tiered-cache", "L1", "L2", "disk", "L2/unstated", "L1/unstated"})
"""Tokens, known to be some."""
_BEYOND = 10**15 - 1
"""A ttl of so many seconds is no longer sure to be a Structured Fields integer (RFC 8941 §3.3.1)."""

_FORWARDED = {"bypass": "bypass", "miss": "miss", "collapsed": "miss"}
"""Why the origin was asked where the outcome names no reason of its own; other kinds were not forwarded."""


def cache_status(outcome: Outcome, name: str = "tiered-cache", earlier: bytes = b"") -> bytes:
    """The field value: `earlier`, what caches nearer the origin said, and our member behind it (RFC 9211 §2).

    An `earlier` that no recipient could read is dropped. An error that we made ourselves gets no member (§2):
    the value is then `earlier`, mostly empty, which means no field at all.
    """
    before = earlier if earlier and is_list(earlier) else b""
    if outcome.kind == "error" and outcome.fwd is None:
        return before
    member = _member(outcome, name).encode("ascii")
    return b"%b, %b" % (before, member) if before else member


def _member(outcome: Outcome, name: str) -> str:
    member = f"{_text(name)}; {_how(outcome)}"
    if outcome.ttl_s is not None and -_BEYOND < outcome.ttl_s < _BEYOND:
        member += f"; ttl={floor(outcome.ttl_s)}"
    if outcome.stored:
        member += "; stored"
    if outcome.collapsed or outcome.kind == "collapsed":
        member += "; collapsed"
    detail = _detail(outcome)
    return f"{member}; detail={_text(detail)}" if detail else member


def _how(outcome: Outcome) -> str:
    """`hit` or `fwd`, never both (RFC 9211 §2.1)."""
    fwd = _FORWARDED.get(outcome.kind) if outcome.fwd is None else outcome.fwd
    if fwd is None:
        return "hit"
    return f"fwd={fwd}" if outcome.fwd_status is None else f"fwd={fwd}; fwd-status={outcome.fwd_status}"


def _detail(outcome: Outcome) -> str | None:
    """The tier, and behind it the reason word when both are known."""
    if outcome.tier and outcome.detail:
        return f"{outcome.tier}/{outcome.detail}"
    return outcome.tier or outcome.detail


def _text(value: str) -> str:
    """A token where it is one, else a string (RFC 8941 §3.3.3); `?` for what neither can hold."""
    if value in _USUAL or _TOKEN.fullmatch(value):
        return value
    printable = "".join(char if " " <= char <= "~" else "?" for char in value)
    escaped = printable.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
