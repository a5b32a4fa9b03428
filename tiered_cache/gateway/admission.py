"""Who may call, with which credential, and which bodies are read: decided from the header fields alone."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tiered_cache.core.canonical import FORM_ENDPOINTS
from tiered_cache.core.vocabulary import Headers, Scope
from tiered_cache.engine.credentials import CREDENTIAL_FIELDS
from tiered_cache.errors import RequestError
from tiered_cache.gateway.config import GatewayConfig

LOCAL_TENANT = "local"

_KEY_FIELDS = CREDENTIAL_FIELDS - {b"authorization", b"cookie"}
_READ = frozenset({b"content-type", b"content-encoding"})
_USUAL = [(b"content-type", b"application/json")]


class Admitted(NamedTuple):
    """A caller let in.

    Attributes:
        scope: whose answers it may share; None: the engine derives it from the credentials in the headers.
        headers, query: what goes on to the origin.
    """

    scope: Scope | None
    headers: Headers
    query: bytes


class Gate(Protocol):
    """Decides who may call."""

    def __call__(self, headers: Headers, query: bytes) -> Admitted:
        """Let a caller in. Raises RequestError 401."""
        ...


class _Scopes(Protocol):
    """The part of the cache that names scopes."""

    def scope(self, *, tenant: str, credential: bytes) -> Scope: ...


def gate(config: GatewayConfig, cache: _Scopes) -> Gate:
    """The gate that `config` asks for: credentials passed on, client keys, or this machine alone.

    With an injected key the credential that the origin judges is the upstream key, so its 401 and 402
    concern every caller alike.
    """
    if not config.injects:
        return pass_on
    upstream_key = str(config.upstream_key).encode()
    if not config.client_keys:
        return _Local(cache.scope(tenant=LOCAL_TENANT, credential=upstream_key))
    tenants = set(config.client_keys.values())
    scopes = {tenant: cache.scope(tenant=tenant, credential=upstream_key) for tenant in tenants}
    return _ClientKeys({digest: scopes[tenant] for digest, tenant in config.client_keys.items()})


def pass_on(headers: Headers, query: bytes) -> Admitted:
    """Everybody may call: the origin judges the caller's own credential."""
    return Admitted(None, headers, query)


class _Local:
    """Everybody on this machine may call, and shares one tenant."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, headers: Headers, query: bytes) -> Admitted:
        return Admitted(self._scope, without_credentials(headers), without_key(query))


class _ClientKeys:
    """Callers show a client key; the tenant is that key's.

    Args:
        scopes: by SHA-256 of the key, so that looking one up tells nothing about the others.
    """

    def __init__(self, scopes: Mapping[str, Scope]) -> None:
        self._scopes = scopes

    def __call__(self, headers: Headers, query: bytes) -> Admitted:
        scope = self._scopes.get(key_digest(_shown_key(headers)))
        if scope is None:
            raise RequestError(
                "This gateway does not know the API key. Ask its operator for a client key.",
                401,
                "invalid_api_key",
            )
        return Admitted(scope, without_credentials(headers), without_key(query))


def key_digest(key: bytes) -> str:
    """What a client key is configured as: its SHA-256 in lower-case hex."""
    return hashlib.sha256(key).hexdigest()


def _shown_key(headers: Headers) -> bytes:
    """The key in the first credential field, behind `Bearer ` in Authorization; empty when none is shown."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name in _KEY_FIELDS:
            return value.strip()
    return b""


def without_credentials(headers: Headers) -> Headers:
    """The field lines without the caller's credentials."""
    return tuple(line for line in headers if line[0] not in CREDENTIAL_FIELDS)


def without_key(query: bytes) -> bytes:
    """The query string without `key=…`; every other byte stays."""
    if b"key=" not in query:
        return query
    return b"&".join([part for part in query.split(b"&") if not part.startswith(b"key=")])


def body_coding(headers: Headers, endpoint: str) -> bytes | None:
    """The Content-Encoding of a body, None when it has none. A missing Content-Type is taken for JSON.

    Raises:
        RequestError: 415 for another media type, where bodies are JSON.
    """
    told = [line for line in headers if line[0] in _READ]
    if told == _USUAL:
        return None
    coding = None
    for name, value in told:
        if name == b"content-encoding":
            coding = value if coding is None else coding + b"," + value
        elif endpoint not in FORM_ENDPOINTS and not _is_json(value):
            raise RequestError(
                "Send the request body as JSON with Content-Type: application/json.",
                415,
                "unsupported_media_type",
            )
    return None if coding in {None, b"", b"identity"} else coding


def _is_json(content_type: bytes) -> bool:
    media = content_type.partition(b";")[0].strip().lower()
    return media == b"application/json" or (media.startswith(b"application/") and media.endswith(b"+json"))
