"""The one place that hashes: canonical bytes and partition to a CacheKey, credentials to a tenant.

A CacheKey is 49 bytes: the key version, with what the key overlooks in its upper half; the XXH3-128 of the
canonical text, seeded per partition from the secret; and the HMAC-SHA-256 of partition and canonical text.
The partition is written as the length and the bytes of each of its six parts, so no two have one spelling.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from tiered_cache.core.canonical import (
    CACHEABLE_ENDPOINTS,
    FORM_ENDPOINTS,
    Canonical,
    KeyOptions,
    ToolMemo,
    canonicalise,
)
from tiered_cache.core.epochs import SCOPE_BYTES
from tiered_cache.core.memo import RecentMap
from tiered_cache.core.rules import LOOSER, Looser, Rule, key_rules
from tiered_cache.core.vocabulary import Bypass, CacheKey, Keyed, Request
from tiered_cache.errors import ConfigError

KEY_VERSION = 1
"""Raised whenever one body gets another canonical text or hash than before."""

_FAST_BYTES = 16
_DIGEST_BYTES = 32
_VERSION_BYTE = bytes([KEY_VERSION])
_LANES_BYTES = 2**20
_SCOPES_BYTES = 2**18
_SCOPE_OVERHEAD_BYTES = 300
_OVERHEAD_BYTES = 700
_DOORS = 2**14
"""Marks of bodies seen once. A body is remembered when it comes again: most never do, and remembering them
would cost each of them more than their keys' last tenth."""
"""What a remembered body costs beside its own bytes: key, call, container entries."""

_ELEMENT_BYTES = 96
"""What the key of one element of a batch costs."""

_NO_CREDENTIAL = Bypass("no-credential")
_ROUTE = Bypass("route")
_DEFAULT = KeyOptions()
_NO_MODELS: Mapping[str, str] = MappingProxyType({})


class _Digest(Protocol):
    def copy(self) -> "_Digest": ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Lane:
    """The prepared hash states and options of one partition, header key fields and query included."""

    __slots__ = ("digest", "options", "seed", "version", "weight")

    def __init__(
        self, seed: int, digest: _Digest, options: KeyOptions, weight: int, version: bytes = _VERSION_BYTE
    ) -> None:
        self.version = version
        self.seed = seed
        self.digest = digest
        self.options = options
        self.weight = weight


class _Remembered(Struct, frozen=True, gc=False):
    """What a body was worth in a lane; compared whole, so a collision of its mark is only a miss."""

    lane: _Lane
    raw: bytes
    result: Keyed | Bypass
    weight: int


class _ScopeDigest(Struct, frozen=True, gc=False):
    """What a purge reaches, as it is named in stamps."""

    digest: bytes
    weight: int


class Keyer:
    """Names calls, tenants and credentials under one deployment secret.

    Args:
        secret: the deployment's secret; nodes that share a tier must have the same one.
        options: what the operator chose about the key; its `default_model` is that of no endpoint.
        default_models: what bodies without a model ask for, by endpoint.
        rules: the operator's, of which some may want looser keys.
        memo_bytes: bound of the memory for bodies seen twice lately, further byte-identical repeats of which
            are not parsed again, and for tool lists (an eighth of it); 0 remembers nothing.

    Attributes:
        endpoints: paths below the API base whose calls have keys.

    Raises:
        ConfigError: the secret is empty.
    """

    def __init__(
        self,
        secret: bytes,
        options: KeyOptions = _DEFAULT,
        *,
        default_models: Mapping[str, str] = _NO_MODELS,
        rules: tuple[Rule, ...] = (),
        memo_bytes: int = 16 * 2**20,
    ) -> None:
        if not secret:
            raise ConfigError("The secret is empty: set TIERED_CACHE_SECRET or the option `secret`.")
        self._secret = secret
        self._options = options
        self.endpoints = CACHEABLE_ENDPOINTS | options.generic_paths
        self._json_endpoints = self.endpoints - FORM_ENDPOINTS
        self._default_models = default_models
        self._rules = rules
        self._scopes = self._derive(b"scope")
        self._seen_scopes: RecentMap[tuple[str, ...], _ScopeDigest] = RecentMap(_SCOPES_BYTES)
        self._outer = hashlib.sha256(_padded(self._derive(b"digest"), 0x5C))
        self._inner = hashlib.sha256(_padded(self._derive(b"digest"), 0x36))
        self._variant_secret = self._derive(b"variant")
        self._variant_seed = int.from_bytes(self._derive(b"variant seed")[:8], "little")
        self._lanes: RecentMap[tuple[str, bytes, bytes, str, str], _Lane] = RecentMap(_LANES_BYTES)
        self._memo: RecentMap[int, _Remembered] = RecentMap(memo_bytes - memo_bytes // 8)
        self._doors = [0] * _DOORS
        self._seen_tools = ToolMemo(memo_bytes // 8) if memo_bytes else None

    def key(self, request: Request) -> Keyed | Bypass:
        """The key of a call, or why it is not cached.

        Raises:
            RequestError: the body is empty or no JSON parser reads it.
        """
        scope, ask = request.scope, request.ask
        if scope is None:
            return _NO_CREDENTIAL
        if ask.bypass is not None:
            return Bypass(ask.bypass)
        names = (request.endpoint, request.query, ask.key_fields, scope.origin_id, scope.tenant)
        if request.endpoint not in self._json_endpoints:
            return self._of_form(request, names)
        lane = self._lanes.get(names)
        if lane is None:
            lane = self._open_lane(names)
        raw = request.body if request.plain_body is None else request.plain_body
        mark = xxh3_64_intdigest(raw, lane.seed)
        known = self._memo.get(mark)
        if known is not None and known.lane is lane and known.raw == raw:
            return known.result
        result = self._key(request.endpoint, raw, lane)
        door = mark % _DOORS
        if self._doors[door] != mark:
            self._doors[door] = mark
        else:
            self._memo.put(mark, _Remembered(lane, raw, result, len(raw) + _weigh(result)))
        return result

    def form(self, request: Request) -> Canonical | Bypass:
        """The canonical form that the key of a call is made of, remembered by nobody.

        Raises:
            RequestError: the body is empty or no JSON parser reads it.
        """
        raw = request.body if request.plain_body is None else request.plain_body
        tenant = "" if request.scope is None else request.scope.tenant
        options = self._options_of(request.endpoint, tenant)
        return canonicalise(request.endpoint, raw, options, content_type=_content_type(request))

    def variant(self, key: CacheKey, number: int) -> CacheKey:
        """The key of one of several answers to a call: made of all of the call's own key, by both digests."""
        text = b"%d:%b" % (number, key)
        fast = xxh3_128_digest(text, self._variant_seed)
        return CacheKey(key[:1] + fast + hmac.digest(self._variant_secret, text, "sha256"))

    def tenant_of(self, credentials: Sequence[tuple[bytes, bytes]]) -> str:
        """Name of the tenant that exactly these credential fields make: 64 hexadecimal digits.

        Args:
            credentials: every credential field present, as (lower-case name, value), in any order.

        Raises:
            ValueError: there is none; a call without a credential has no tenant.
        """
        return self._digest_credentials(b"tenant", credentials).hex()

    def credential_digest(self, credentials: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Keyed digest of the credential itself, 32 bytes, unlike any tenant's name.

        Raises:
            ValueError: there is none.
        """
        return self._digest_credentials(b"credential", credentials)

    def scope_digest(self, *texts: str) -> bytes:
        """Keyed digest of what a purge reaches: a kind and its texts, `SCOPE_BYTES` long."""
        known = self._seen_scopes.get(texts)
        if known is None:
            whole = hmac.digest(self._scopes, _delimited(*[text.encode() for text in texts]), "sha256")
            known = _ScopeDigest(whole[:SCOPE_BYTES], _SCOPE_OVERHEAD_BYTES + sum(map(len, texts)))
            self._seen_scopes.put(texts, known)
        return known.digest

    def _of_form(self, request: Request, names: tuple[str, bytes, bytes, str, str]) -> Keyed | Bypass:
        """The key of a body that is no JSON; it is not remembered, as each has a boundary of its own."""
        if request.endpoint not in FORM_ENDPOINTS:
            return _ROUTE
        lane = self._lanes.get(names)
        if lane is None:
            lane = self._open_lane(names)
        raw = request.body if request.plain_body is None else request.plain_body
        return self._key(request.endpoint, raw, lane, _content_type(request))

    def _key(self, endpoint: str, raw: bytes, lane: _Lane, content_type: bytes = b"") -> Keyed | Bypass:
        form = canonicalise(endpoint, raw, lane.options, self._seen_tools, content_type)
        if isinstance(form, Bypass):
            return form
        call = form.call
        if call.bypass is not None:
            return Bypass(call.bypass, call.model)
        if form.looser:
            lane = _looser(lane, form.looser)
        elements = tuple([self._name(text, lane) for text in form.elements]) if form.elements else ()
        return Keyed(self._name(form.text, lane), call, call.shape, elements)

    def _name(self, text: bytes, lane: _Lane) -> CacheKey:
        inner, outer = lane.digest.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return CacheKey(lane.version + xxh3_128_digest(text, lane.seed) + outer.digest())

    def _open_lane(self, names: tuple[str, bytes, bytes, str, str]) -> _Lane:
        endpoint, query, key_fields, origin_id, tenant = names
        context = _delimited(
            endpoint.encode(),
            origin_id.encode(),
            tenant.encode(),
            query,
            key_fields,
            self._options.identity_fields.encode(),
        )
        seed = hmac.digest(self._derive(b"seed"), context, "sha256")
        digest = self._inner.copy()
        digest.update(context)
        weight = len(context) + _OVERHEAD_BYTES
        lane = _Lane(int.from_bytes(seed[:8], "little"), digest, self._options_of(endpoint, tenant), weight)
        self._lanes.put(names, lane)
        return lane

    def _options_of(self, endpoint: str, tenant: str) -> KeyOptions:
        model, rules = self._default_models.get(endpoint, ""), key_rules(self._rules, endpoint, tenant)
        return replace(self._options, default_model=model, rules=rules, tenant=tenant)

    def _digest_credentials(self, purpose: bytes, credentials: Sequence[tuple[bytes, bytes]]) -> bytes:
        if not credentials:
            raise ValueError("a call without a credential has no tenant")
        # Lines of one name keep their order: origins take the first, or the last.
        fields = (part for field in sorted(credentials, key=itemgetter(0)) for part in field)
        return hmac.digest(self._derive(purpose), _delimited(*fields), "sha256")

    def _derive(self, purpose: bytes) -> bytes:
        """A secret of its own for each use, so that no digest of one use means anything in another."""
        return hmac.digest(self._secret, b"tiered-cache v1 " + purpose, "sha256")


def _looser(lane: _Lane, words: tuple[Looser, ...]) -> _Lane:
    """The partition of keys that overlook something: no strict key and none of other words is in it."""
    bits = sum(1 << LOOSER.index(word) for word in words)
    digest = lane.digest.copy()
    digest.update(b"\0looser" + bytes([bits]))
    return _Lane(lane.seed, digest, lane.options, lane.weight, bytes([KEY_VERSION | bits << 4]))


def _content_type(request: Request) -> bytes:
    """The one Content-Type of a call; empty where it has none, or several."""
    told = [value for name, value in request.headers if name == b"content-type"]
    return told[0] if len(told) == 1 else b""


def _weigh(result: Keyed | Bypass) -> int:
    elements = 0 if isinstance(result, Bypass) else len(result.elements)
    return _OVERHEAD_BYTES + elements * _ELEMENT_BYTES


def key_text(key: CacheKey) -> str:
    """The key as `version-fast-digest`, decimal and lower-case hexadecimal: safe in URLs and Redis keys."""
    return f"{key[0]}-{key[1 : 1 + _FAST_BYTES].hex()}-{key[1 + _FAST_BYTES :].hex()}"


def _delimited(*parts: bytes) -> bytes:
    """The parts joined so that no other sequence of parts gives the same bytes."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _padded(key: bytes, pad: int) -> bytes:
    """One block of HMAC-SHA-256's key (RFC 2104 §2); `key` is a digest, shorter than a block."""
    return bytes(byte ^ pad for byte in key.ljust(64, b"\0"))
