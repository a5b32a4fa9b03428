"""Who is asking: credentials to scopes, and the credentials that the origin has turned away."""

import hashlib
from collections import Counter
from math import inf
from typing import TypeVar

from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import Headers, Scope

CREDENTIAL_FIELDS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"})
"""Header fields that say who asks; every one present is part of the credential."""

EDGE_COOKIES = frozenset({b"__cf_bm", b"_cfuvid", b"__cflb", b"cf_clearance", b"__cfruid"})
"""Cookies that the network before an origin sets for itself (Cloudflare documentation, Cloudflare cookies).
They say who the connection is, not who asks, and change by the half-hour."""

V = TypeVar("V")

AUTH_TTL_S = 600.0
"""How long a 2xx of the origin vouches for a credential in a partition that others share."""

_REMEMBERED = 4096
_SCHEMES = frozenset({b"", b"bearer", b"basic"})
_KEY_FIELDS = CREDENTIAL_FIELDS - {b"cookie"}


class Credentials:
    """Scopes by credential, and what the origin thinks of each.

    Args:
        keyer: makes the keyed digests.
        origin_id: of every scope.
        tenants: SHA-256 (hex) of a bare key, without `Bearer `, to the tenant's name.
    """

    def __init__(self, keyer: Keyer, origin_id: str, tenants: dict[str, str]) -> None:
        self._keyer = keyer
        self._origin_id = origin_id
        self._tenants = tenants
        sizes = Counter(tenants.values())
        self._shared = frozenset(tenant for tenant, keys in sizes.items() if keys > 1)
        self._closed: dict[Scope, None] = {}
        self._vouched_s: dict[Scope, float] = {}

    def scope(self, headers: Headers, query: bytes) -> Scope | None:
        """The scope of a call's credentials, every field present counted; None when there is none.

        A field without a credential in it (`Authorization: Bearer`, `?key=`) is none: callers who have
        nothing to show share nothing.
        """
        told = (_told(line) for line in headers if line[0] in CREDENTIAL_FIELDS)
        found = tuple(line for line in told if _shows(line[1]))
        if b"key=" in query:
            keys = [word[4:] for word in query.split(b"&") if word.startswith(b"key=")]
            found += tuple((b"?key", key) for key in keys if key)
        if not found:
            return None
        tenant = self._tenant_in_table(found)
        shared = tenant in self._shared
        if tenant is None:
            tenant = self._keyer.tenant_of(found)
        return Scope(tenant, self._origin_id, self._keyer.credential_digest(found), shared)

    def _tenant_in_table(self, found: tuple[tuple[bytes, bytes], ...]) -> str | None:
        if len(found) != 1 or found[0][0] not in _KEY_FIELDS:
            return None
        return self._tenants.get(bare_key_digest(found[0]))

    def named(self, tenant: str, credential: bytes) -> Scope:
        """The scope of a tenant that the embedder names."""
        digest = self._keyer.credential_digest([(b"embedder", credential)]) if credential else b""
        return Scope(tenant, self._origin_id, digest)

    def note(self, scope: Scope | None, status: int, now: float) -> None:
        """What the origin answered to this credential at `now`.

        A 401 or 403 closes its partition to it until its next 2xx; a 2xx vouches for it where it shares one.
        """
        if scope is None:
            return
        if status in {401, 403}:
            self._vouched_s.pop(scope, None)
            _remember(self._closed, scope, None)
        elif 200 <= status < 300:
            self._closed.pop(scope, None)
            if scope.shared:
                _remember(self._vouched_s, scope, now)

    def is_closed(self, scope: Scope | None, now: float) -> bool:
        """Whether this credential may not be answered from store: turned away last, or not vouched for."""
        if scope is None:
            return False
        if scope.shared and not now - self._vouched_s.get(scope, -inf) < AUTH_TTL_S:
            return True
        return bool(self._closed) and scope in self._closed


def _remember(notes: dict[Scope, V], scope: Scope, note: V) -> None:
    notes.pop(scope, None)
    notes[scope] = note
    if len(notes) > _REMEMBERED:
        del notes[next(iter(notes))]


def _told(line: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A credential field without the cookies that are none."""
    if line[0] != b"cookie":
        return line
    pairs = [pair.strip() for pair in line[1].split(b";")]
    return b"cookie", b"; ".join(pair for pair in pairs if pair.partition(b"=")[0] not in EDGE_COOKIES)


def _shows(value: bytes) -> bool:
    return value.strip().lower() not in _SCHEMES


def bare_key_digest(line: tuple[bytes, bytes]) -> str:
    """SHA-256 (hex) of the key in a credential field, without its scheme."""
    value = line[1]
    scheme, _, rest = value.partition(b" ")
    key = rest.strip() if scheme.lower() == b"bearer" else value
    return hashlib.sha256(key).hexdigest()
