"""What the header fields of a call say: who asks, and what is asked of the cache."""

from collections.abc import Iterable

from msgspec import Struct

from tiered_cache.core.directives import HARMLESS, OWN_PREFIX, read_ask
from tiered_cache.core.memo import RecentMap
from tiered_cache.core.vocabulary import Ask, Headers, Scope
from tiered_cache.engine.config import CacheConfig
from tiered_cache.engine.credentials import CREDENTIAL_FIELDS, Credentials

_MEMO_BYTES = 2**20
_CONNECTION = b"connection"
_USUAL = frozenset({b"keep-alive", b"close", b"upgrade", b"te", b"http2-settings"})
_OURS = frozenset({b"cache-control", b"if-none-match"})
_OVERHEAD_BYTES = 600
"""What remembered lines cost beside their bytes: tuples, scope, container entries."""


class Caller(Struct, frozen=True):
    """Who asks, and what of the cache.

    Attributes:
        scope: None where there is no credential.
        ask: `PLAIN` or `SDK_DEFAULT` itself for most calls.
        weight: bytes it takes to remember.
    """

    scope: Scope | None
    ask: Ask
    weight: int


class Callers:
    """Reads header fields once per distinct set of lines that concern us; clients repeat theirs.

    Args:
        credentials: make the scopes.
        config: the operator's further key fields, and directives that count as not there.
    """

    def __init__(self, credentials: Credentials, config: CacheConfig) -> None:
        self._credentials = credentials
        self._key_headers = key_headers = _names(config.key_headers)
        self._ignored = _names(config.ignored_directives)
        self._inert = HARMLESS - CREDENTIAL_FIELDS - key_headers - {_CONNECTION}
        self._seen: RecentMap[Headers, Caller] = RecentMap(_MEMO_BYTES)

    def read(self, headers: Headers, query: bytes) -> Caller:
        """The caller of these fields (lower-case names) and this raw query."""
        told = tuple([line for line in headers if line[0] not in self._inert])
        if b"key=" in query:
            return self._read(told, query)
        caller = self._seen.get(told)
        if caller is None:
            caller = self._read(told, b"")
            self._seen.put(told, caller)
        return caller

    def _read(self, told: Headers, query: bytes) -> Caller:
        weight = _OVERHEAD_BYTES + sum(len(name) + len(value) for name, value in told)
        arriving = _end_to_end(told)
        ask = read_ask(arriving, self._key_headers, self._ignored)
        return Caller(self._credentials.scope(arriving, query), ask, weight)


def _names(texts: Iterable[str]) -> frozenset[bytes]:
    return frozenset(text.lower().encode() for text in texts)


def _end_to_end(told: Headers) -> Headers:
    """The lines but those that do not reach the origin, as Connection lists them (RFC 9110 §7.6.1).

    What is meant for a cache is meant for us even then.
    """
    listed = {
        token.strip().lower() for name, value in told if name == _CONNECTION for token in value.split(b",")
    }
    if listed <= _USUAL:
        return told
    return tuple(line for line in told if line[0] not in listed or _is_ours(line[0]))


def _is_ours(name: bytes) -> bool:
    return name in _OURS or name.startswith(OWN_PREFIX)
