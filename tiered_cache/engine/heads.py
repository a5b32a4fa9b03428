"""Field lines of the answers we give: written once a second for each rendering, not once a hit."""

import itertools
import math
import secrets

from tiered_cache.core.accounting import usd_text
from tiered_cache.core.status import cache_status
from tiered_cache.core.stored_fields import stored_headers
from tiered_cache.core.vocabulary import Entry, Headers, Outcome, Rendering

_OURS = frozenset({b"cache-status", b"age", b"etag", b"content-length"})
_OF_ERRORS = frozenset({b"content-type", b"retry-after"})
_ANSWERED = _OURS | {b"cache-control", b"cdn-cache-control", b"cache-tag", b"expires", b"vary", b"pragma"}


class RequestIds:
    """Ids for our own answers: a random prefix of this process and a counter."""

    def __init__(self) -> None:
        self._prefix = f"tc-{secrets.token_hex(6)}-".encode()
        self._numbers = itertools.count(1)

    def __call__(self) -> bytes:
        """A new id."""
        return self._prefix + b"%x" % next(self._numbers)


def stored_answer(entry: Entry, rendering: Rendering, outcome: Outcome) -> Headers:
    """Field lines of an answer rendered from an entry (hit, stale or collapsed), without its request id.

    Cache-Control keeps the answer with this client alone for the lifetime that is left (RFC 9111 §5.2.2.7).
    """
    lines = [(b"content-type", rendering.content_type), *entry.headers]
    if rendering.etag:
        lines.append((b"etag", rendering.etag))
    if not outcome.collapsed:
        lines.append((b"age", b"%d" % int(outcome.age_s)))
    lines.append((b"cache-control", private(outcome.ttl_s)))
    lines.append((b"cache-status", cache_status(outcome)))
    if outcome.saved_picousd is not None:
        lines.append((b"x-tiered-cache-saved-usd", usd_text(outcome.saved_picousd)))
    if entry.origin_request_id:
        lines.append((b"x-tiered-cache-origin-id", entry.origin_request_id))
    return tuple(lines)


def private(ttl_s: float | None) -> bytes:
    """Cache-Control of an answer with `ttl_s` left; none left means it may not be reused unasked."""
    left = 0 if ttl_s is None or ttl_s <= 0 else math.floor(min(ttl_s, 2**31))
    return b"private, max-age=%d" % left


def led(headers: Headers, outcome: Outcome, etag: bytes | None) -> Headers:
    """Field lines of the origin's own answer on an inference route: under our Cache-Control, no other."""
    earlier = b", ".join(value for name, value in headers if name == b"cache-status")
    kept = [line for line in headers if line[0] not in _ANSWERED]
    kept.append((b"cache-control", private(outcome.ttl_s)))
    if etag is not None:
        kept.append((b"etag", etag))
    return (*kept, (b"cache-status", cache_status(outcome, earlier=earlier)))


def rewritten(headers: Headers, rendering: Rendering) -> Headers:
    """Field lines of the origin's answer for a body that was written anew from it."""
    kept = [line for line in headers if line[0] not in {b"content-type", b"content-encoding"}]
    return ((b"content-type", rendering.content_type), *kept)


def followed(headers: Headers, outcome: Outcome) -> Headers:
    """Field lines of a stream for those who joined it, without the leader's own exchange."""
    lines = [line for line in headers if line[0] == b"content-type"]
    lines += [*stored_headers(headers), *led((), outcome, None)]
    lines += [(b"x-tiered-cache-origin-id", value) for name, value in headers if name == b"x-request-id"]
    return tuple(lines)


def shared_error(headers: Headers, outcome: Outcome) -> Headers:
    """Field lines of an error for those who waited for another's call, without that one's own exchange."""
    lines = [line for line in headers if line[0] in _OF_ERRORS]
    return led((*lines, *stored_headers(headers)), outcome, None)


def not_modified(headers: Headers) -> Headers:
    """What a 304 keeps of a 200's field lines (RFC 9110 §15.4.5)."""
    return tuple(line for line in headers if line[0] != b"content-type")
