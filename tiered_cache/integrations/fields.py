"""Which header fields travel on, to the origin and back (RFC 9110 §7.6.1)."""

from collections.abc import Iterable

from tiered_cache.core.vocabulary import Headers
from tiered_cache.engine.credentials import CREDENTIAL_FIELDS

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields about one connection, which the next one has its own of."""

OWN_PREFIX = b"x-tiered-cache-"

_NOT_ON = HOP_BY_HOP | {b"content-length", b"expect", b"host"}
_VALIDATORS = frozenset({b"if-modified-since", b"if-none-match"})


def lowered(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Field lines with lower-case names, as the rest of the library has them."""
    return tuple([(name.lower(), value) for name, value in raw])


def value_of(headers: Headers, wanted: bytes) -> bytes:
    """The first value of a field, empty when absent."""
    return next((value for name, value in headers if name == wanted), b"")


def end_to_end(headers: Headers) -> Headers:
    """The lines that are not about this connection: neither hop-by-hop nor listed by Connection."""
    return _without(headers, HOP_BY_HOP | _listed(headers))


def to_origin(headers: Headers) -> Headers:
    """A caller's lines as the origin gets them, without Host, framing and fields meant for the cache."""
    dropped = _NOT_ON | _listed(headers)
    return tuple([line for line in headers if line[0] not in dropped and not line[0].startswith(OWN_PREFIX)])


def without_validators(headers: Headers) -> Headers:
    """The same without the preconditions that the cache itself answers."""
    return _without(headers, _VALIDATORS)


def with_credential(headers: Headers, authorization: bytes) -> Headers:
    """The same under another credential: none of the caller's own goes along."""
    return (*_without(headers, CREDENTIAL_FIELDS), (b"authorization", authorization))


def _without(headers: Headers, dropped: frozenset[bytes]) -> Headers:
    return tuple([line for line in headers if line[0] not in dropped])


def _listed(headers: Headers) -> frozenset[bytes]:
    lists = [value for name, value in headers if name == b"connection"]
    return frozenset(token.strip().lower() for value in lists for token in value.split(b","))
