"""Who is asking: credentials to scopes, and the credentials that the origin has turned away."""

import hashlib

from tiered_cache.core.keys import Keyer
from tiered_cache.core.vocabulary import Headers, Scope

CREDENTIAL_FIELDS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"})
"""Header fields that say who asks; every one present is part of the credential."""

_REMEMBERED = 4096


class Credentials:
    """Scopes by credential, made once each.

    Args:
        keyer: makes the keyed digests.
        origin_id: of every scope.
        tenants: SHA-256 (hex) of a bare key, without `Bearer `, to the tenant's name.
    """

    def __init__(self, keyer: Keyer, origin_id: str, tenants: dict[str, str]) -> None:
        self._keyer = keyer
        self._origin_id = origin_id
        self._tenants = tenants
        self._scopes: dict[tuple[tuple[bytes, bytes], ...], Scope] = {}
        self._closed: dict[bytes, None] = {}

    def scope(self, headers: Headers, query: bytes) -> Scope | None:
        """The scope of a call's credentials, every field present counted; None when there is none."""
        found = tuple(line for line in headers if line[0] in CREDENTIAL_FIELDS)
        if b"key=" in query:
            found += tuple((b"?key", word[4:]) for word in query.split(b"&") if word.startswith(b"key="))
        if not found:
            return None
        scope = self._scopes.get(found)
        if scope is None:
            scope = self._new_scope(found)
        return scope

    def _new_scope(self, found: tuple[tuple[bytes, bytes], ...]) -> Scope:
        tenant = self._tenants.get(bare_key_digest(found[0])) if len(found) == 1 else None
        if tenant is None:
            tenant = self._keyer.tenant_of(found)
        scope = Scope(tenant, self._origin_id, self._keyer.credential_digest(found))
        if len(self._scopes) >= _REMEMBERED:
            self._scopes.clear()
        self._scopes[found] = scope
        return scope

    def named(self, tenant: str, credential: bytes) -> Scope:
        """The scope of a tenant that the embedder names."""
        digest = self._keyer.credential_digest([(b"embedder", credential)]) if credential else b""
        return Scope(tenant, self._origin_id, digest)

    def note(self, scope: Scope | None, status: int) -> None:
        """A 401 or 403 closes the credential's own partition until its next 2xx."""
        if scope is None:
            return
        if status in {401, 403}:
            if len(self._closed) >= _REMEMBERED:
                del self._closed[next(iter(self._closed))]
            self._closed[scope.credential] = None
        elif 200 <= status < 300 and self._closed:
            self._closed.pop(scope.credential, None)

    def is_closed(self, scope: Scope | None) -> bool:
        """Whether the origin turned this credential away last."""
        return bool(self._closed) and scope is not None and scope.credential in self._closed


def bare_key_digest(line: tuple[bytes, bytes]) -> str:
    """SHA-256 (hex) of the key in a credential field, without its scheme."""
    value = line[1]
    scheme, _, rest = value.partition(b" ")
    key = rest.strip() if scheme.lower() == b"bearer" else value
    return hashlib.sha256(key).hexdigest()
