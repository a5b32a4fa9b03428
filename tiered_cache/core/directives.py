"""Reads what a caller's and an origin's header fields ask of the cache (RFC 9111 §5.2, RFC 9213)."""

import re
from collections.abc import Iterable
from math import inf, isfinite

from msgspec import Struct

from tiered_cache.core.replay import Replay, read_replay
from tiered_cache.core.structured import TRUE, Bare, parse_dictionary
from tiered_cache.core.tags import read_tags
from tiered_cache.core.validators import parse_if_none_match
from tiered_cache.core.vocabulary import PLAIN, Ask, Headers

LONGEST_S = 2**31
"""What a delta-seconds value that overflows counts as (RFC 9111 §1.2.2)."""

KEY_HEADERS = frozenset(
    {
        b"anthropic-beta",
        b"anthropic-version",
        b"openai-beta",
        b"openai-organization",
        b"openai-project",
        b"x-tiered-cache-variant",
    }
)
"""Request fields that change the answer. Others are forwarded, never keyed, unless an operator names them."""

FOREIGN_PREFIXES = (b"x-portkey-", b"helicone-", b"x-litellm-", b"cf-aig-", b"x-openrouter-", b"x-bt-")
"""Control fields of other gateways: their sender expects something of them that we do not do."""

OWN_PREFIX = b"x-tiered-cache-"
_TTL = b"x-tiered-cache-ttl"
_REPLAY = b"x-tiered-cache-replay"
_TAGS = b"x-tiered-cache-tags"
_OWN = frozenset({_TAGS, _TTL, _REPLAY, b"x-tiered-cache-variant"})

TARGETED = (b"tieredcache-cache-control", b"cdn-cache-control")
"""Response fields that are meant for caches like us, nearest first (RFC 9213 §2.2)."""

SDK_DEFAULT = Ask(read_timeout_s=600.0)
"""What an SDK's first try with its default time-out asks; `read_ask` returns this very object for it."""

HARMLESS = frozenset(
    b"accept accept-charset accept-encoding accept-language api-key authorization baggage connection "
    b"content-encoding content-length content-type cookie dnt expect forwarded host http-referer "
    b"idempotency-key keep-alive origin priority referer sec-ch-ua sec-ch-ua-mobile "
    b"sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site te traceparent tracestate "
    b"transfer-encoding user-agent via x-api-key x-forwarded-for x-forwarded-host x-forwarded-port "
    b"x-forwarded-proto x-goog-api-key x-real-ip x-request-id x-stainless-arch x-stainless-async "
    b"x-stainless-helper-method x-stainless-lang x-stainless-os x-stainless-package-version "
    b"x-stainless-raw-response x-stainless-runtime x-stainless-runtime-version "
    b"x-stainless-stream-helper x-stainless-timeout x-title".split()
)
"""Names known to ask nothing, so that the usual field costs one look-up and no comparison of prefixes."""

_RETRY = b"x-stainless-retry-count"
_TIMEOUT = b"x-stainless-read-timeout"
_SDK_LINES = (
    [(_RETRY, b"0"), (_TIMEOUT, b"600")],
    [(_TIMEOUT, b"600"), (_RETRY, b"0")],
    [(_RETRY, b"0"), (_TIMEOUT, b"600.0")],
)
"""The commonest lines that do concern the cache, answered without being read."""

_DIRECTIVE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    rb'(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^,\s"]*)))?',
    re.DOTALL,
)


class OriginSays(Struct, frozen=True):
    """What an origin's response fields demand on an inference route.

    `private` needs no room here: a partition is the caller's own already.

    Attributes:
        no_store: the answer must not be kept.
    """

    no_store: bool = False


def read_ask(
    headers: Headers,
    key_headers: frozenset[bytes] = frozenset(),
    ignored: frozenset[bytes] = frozenset(),
) -> Ask:
    """What the request fields `headers` (lower-case names) ask of the cache.

    `key_headers` are the operator's further key fields, lower-case; `ignored` are fields of ours and
    directives of Cache-Control that count as not there. Returns `PLAIN` itself when nothing concerns the
    cache. What cannot be understood never lengthens a lifetime: it revalidates or bypasses.
    """
    told = [line for line in headers if line[0] not in HARMLESS or line[0] in key_headers]
    if ignored:
        told = [line for line in told if line[0] not in ignored]
    if not told:
        return PLAIN
    if told in _SDK_LINES:
        return SDK_DEFAULT
    return _read(told, KEY_HEADERS | key_headers, ignored)


def read_origin(headers: Headers) -> OriginSays:
    """What the response fields `headers` demand of an inference route.

    No-store counts in any field, though by RFC 9213 §2.2 the first valid targeted one would replace the
    others: as no other directive has an effect on these routes, precedence could only loosen. Beside
    must-understand, in the same field, it is set aside (RFC 9111 §5.2.2.3): the only status that such a
    route stores is 200.
    """
    said = _joined(line for line in headers if line[0] == b"cache-control" or line[0] in TARGETED)
    directives = _directives(said.get(b"cache-control", b""))
    if b"no-store" in directives and b"must-understand" not in directives:
        return OriginSays(no_store=True)
    targeted = (parse_dictionary(said.get(name, b"")) for name in TARGETED)
    return OriginSays(no_store=any(_forbids(members) for members in targeted if members))


def _forbids(members: dict[bytes, Bare]) -> bool:
    """A member of the wrong type is not used (RFC 9213 §2.1)."""
    return members.get(b"no-store") == TRUE and members.get(b"must-understand") != TRUE


def _read(told: list[tuple[bytes, bytes]], key_names: frozenset[bytes], ignored: frozenset[bytes]) -> Ask:
    """Reads only what is there: some SDKs send a key field with each call."""
    said = _joined(told)
    ttl_s = _shortest_ttl(said.get(_TTL))
    replay = read_replay(said[_REPLAY]) if _REPLAY in said else None
    tags = read_tags(said[_TAGS]) if _TAGS in said else ()
    control, validators = said.get(b"cache-control"), said.get(b"if-none-match")
    asked = PLAIN if control is None else _cache_control(control, ignored)
    whole = Ask(
        asked.no_store,
        asked.no_cache,
        asked.only_if_cached,
        asked.max_age_s,
        asked.min_fresh_s,
        asked.max_stale_s,
        ttl_s,
        () if validators is None else parse_if_none_match(validators),
        b"" if key_names.isdisjoint(said) else _key_fields(said, key_names),
        _bypass(said, ttl_s, replay, tags),
        said.get(_RETRY, b"0") != b"0" and _is_retry(said[_RETRY]),
        _timeout(said.get(_TIMEOUT)),
        replay,
        () if tags is None else tags,
    )
    return PLAIN if whole == PLAIN else whole


def _cache_control(value: bytes, ignored: frozenset[bytes]) -> Ask:
    """The request directives of RFC 9111 §5.2.1.

    Of a repeated one the most restrictive counts; a broken one is no-cache, and so is max-age=0.
    """
    directives = {name: values for name, values in _directives(value).items() if name not in ignored}
    max_age = [_delta(text) for text in directives.get(b"max-age", ())]
    min_fresh = [_delta(text) for text in directives.get(b"min-fresh", ())]
    max_age_s = min((age for age in max_age if age is not None), default=None)
    anew = b"no-cache" in directives or None in max_age or None in min_fresh or max_age_s == 0
    if b"no-cache" in ignored and max_age_s == 0:
        max_age_s = None
    return Ask(
        no_store=b"no-store" in directives,
        no_cache=anew and b"no-cache" not in ignored,
        only_if_cached=b"only-if-cached" in directives,
        max_age_s=max_age_s,
        min_fresh_s=max((fresh for fresh in min_fresh if fresh is not None), default=None),
        max_stale_s=_max_stale(directives.get(b"max-stale", ())),
    )


def _max_stale(values: Iterable[bytes | None]) -> float | None:
    """No value allows any staleness; a broken value allows none."""
    allowed = [inf if text is None else _delta(text) for text in values]
    return None if None in allowed else min((stale for stale in allowed if stale is not None), default=None)


def _directives(value: bytes) -> dict[bytes, list[bytes | None]]:
    """Arguments of each directive by lower-case name, unquoted; None for a directive without one."""
    found: dict[bytes, list[bytes | None]] = {}
    for match in _DIRECTIVE.finditer(value):
        name, quoted, plain = match.groups()
        found.setdefault(name.lower(), []).append(plain if quoted is None else quoted)
    return found


def _delta(text: bytes | None) -> float | None:
    """Delta-seconds; None for anything else (a sign, a fraction, no value)."""
    if text is None or not text.isdigit():
        return None
    digits = text.lstrip(b"0")
    return float(min(int(digits), LONGEST_S)) if 0 < len(digits) <= 10 else float(LONGEST_S if digits else 0)


def _shortest_ttl(value: bytes | None) -> float | None:
    """The shortest of the lifetimes asked for, in seconds; None where there is none or a broken one."""
    if value is None:
        return None
    asked = [_delta(text.strip(b" \t")) for text in value.split(b",")]
    return None if None in asked else min(ttl for ttl in asked if ttl is not None)


def _bypass(
    said: dict[bytes, bytes], ttl_s: float | None, replay: Replay | None, tags: tuple[str, ...] | None
) -> str | None:
    """Why these fields forbid caching: a foreign control, an unknown one of ours, a broken value."""
    for name in said:
        if name.startswith(FOREIGN_PREFIXES):
            return "foreign-control"
        if name.startswith(OWN_PREFIX) and name not in _OWN:
            # A narrower scope or a tag that is not honoured would share or keep more than was asked for.
            return "unknown-control"
    if ttl_s is None and _TTL in said:
        return "bad-ttl"
    if tags is None:
        return "bad-tags"
    return "bad-replay" if replay is None and _REPLAY in said else None


def _key_fields(said: dict[bytes, bytes], names: frozenset[bytes]) -> bytes:
    """Each key field's name and value behind their lengths, by name: other fields, other bytes."""
    present = sorted(name for name in said if name in names)
    return b"".join(b"%d:%b%d:%b" % (len(name), name, len(said[name]), said[name]) for name in present)


def read_key_fields(key_fields: bytes) -> dict[str, str]:
    """The header fields in `Ask.key_fields`, by name, for people."""
    found: list[str] = []
    rest = key_fields
    while rest:
        size, _, rest = rest.partition(b":")
        found.append(rest[: int(size)].decode("latin-1"))
        rest = rest[int(size) :]
    return dict(zip(found[::2], found[1::2], strict=True))


def _joined(lines: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Values by name; lines of one name are one list (RFC 9110 §5.3)."""
    said: dict[bytes, bytes] = {}
    for name, value in lines:
        text = value.strip(b" \t")
        said[name] = said[name] + b", " + text if name in said else text
    return said


def _is_retry(value: bytes) -> bool:
    count = _delta(value)
    return count is not None and count >= 1


def _timeout(value: bytes | None) -> float | None:
    """Seconds as an SDK writes them (`600`, `2.5`); None for what is not a duration."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds >= 0 else None
