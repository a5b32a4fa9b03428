"""The frozen values that every layer speaks in.

Header names are lower-case bytes, values are bytes, as ASGI and HTTP/2 have them.
Money is integer pico-dollars (1e-12 USD). Durations are seconds unless the name says otherwise.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from typing import Literal, NewType, TypeAlias

from msgspec import Struct

from tiered_cache.core.cuts import Cut
from tiered_cache.core.replay import Replay

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Field lines in order; names lower-case."""

CacheKey = NewType("CacheKey", bytes)
"""Full name of one cacheable call: key version, fast hash and keyed digest, so equality compares both.

Used whole wherever something is selected (entry, flight, file, Redis key), so a collision of the fast
hash alone never selects another call's answer. The partition is inside both digests.
"""

Shape: TypeAlias = Literal["json", "base64", "sse", "sse+usage", "bytes"]
"""How one caller wants an answer written: a JSON body, one whose vectors are base64, an event stream without
or with the usage chunk, bytes of the origin's own media type."""

Vectors: TypeAlias = Literal["float", "base64", "other"]
"""How a caller wants embeddings: as JSON numbers, as little-endian float32 in base64, as the origin does."""

Form: TypeAlias = Literal["json", "sse", "bytes"]
"""How the origin wrote the answer that an entry holds."""


class Determinism(Enum):
    """What the request says about sampling (the lifetime table's first column)."""

    DETERMINISTIC = "deterministic"
    """temperature 0, top_k 1 or a seed."""
    UNSTATED = "unstated"
    """temperature absent, reasoning models included."""
    SAMPLED = "sampled"
    """temperature > 0 stated without a seed, or n > 1 unless temperature is 0."""

    # Members are single objects: Enum's own hash, written in Python, costs more than what it looks up.
    __hash__ = object.__hash__


class ContentClass(Enum):
    """What kind of answer an origin gave."""

    CHAT = "chat"
    TOOL_CALL = "tool-call"
    STRUCTURED = "structured"
    GENERIC = "generic"


class Scope(Struct, frozen=True):
    """Who may share an entry: the partition without its endpoint.

    Attributes:
        tenant: text that names the tenant; never a credential, only a name or a keyed digest of one.
        origin_id: which upstream the answers come from.
        credential: keyed digest of the credential, to keep one key's 401 from callers with another.
        shared: several credentials share the tenant by a rule: the origin must have accepted this one lately.
    """

    tenant: str
    origin_id: str
    credential: bytes = b""
    shared: bool = False


class Ask(Struct, frozen=True):
    """What the caller's header fields ask of the cache (RFC 9111 §5.2.1 and our own fields).

    Attributes:
        max_age_s, min_fresh_s, max_stale_s: None where not given; `max_stale_s` is infinity without a value.
        ttl_s: `x-tiered-cache-ttl`, only ever shortens.
        if_none_match: entity tags as written, without surrounding space; `("*",)` for the wildcard.
        key_fields: canonical bytes of the header fields that join the key; empty for most calls.
        bypass: reason why these headers forbid caching, or None.
        retry: the SDK marked this call as a retry (`x-stainless-retry-count` >= 1).
        read_timeout_s: `x-stainless-read-timeout`, the caller's own deadline.
        replay: `x-tiered-cache-replay`, how fast a stored stream is to be given; None leaves it to the rule.
        tags: `x-tiered-cache-tags`, by which its answer can be purged inside the tenant.
    """

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None
    min_fresh_s: float | None = None
    max_stale_s: float | None = None
    ttl_s: float | None = None
    if_none_match: tuple[bytes, ...] = ()
    key_fields: bytes = b""
    bypass: str | None = None
    retry: bool = False
    read_timeout_s: float | None = None
    replay: Replay | None = None
    tags: tuple[str, ...] = ()


PLAIN = Ask()
"""What a call asks whose headers say nothing to the cache: the hit path compares with it by identity."""


class Request(Struct, frozen=True, gc=False):
    """One inference call as the caller sent it.

    Attributes:
        endpoint: path below the API base, without slashes at the ends, e.g. `chat/completions`.
        body: the caller's bytes, forwarded as they are (see `Call.edit` for the one edit).
        scope: who may share the answer; None bypasses (no credential was seen).
        headers: the caller's field lines, forwarded on a miss.
        query: raw query string without the question mark; it is in the key.
        ask: what `headers` ask of the cache.
        plain_body: the decoded body when `body` carries a Content-Encoding; used for the key only.
    """

    endpoint: str
    body: bytes
    scope: Scope | None
    headers: Headers = ()
    query: bytes = b""
    ask: Ask = PLAIN
    plain_body: bytes | None = None


class Call(Struct, frozen=True, gc=False):
    """What a canonicalised body says, beside its canonical bytes.

    Attributes:
        endpoint: the dialect's endpoint.
        model: as the caller wrote it.
        stream, include_usage: the shape the caller asked for.
        service_tier: transport only; names the flight, not the entry.
        determinism: see `Determinism`.
        choices: how many answers were asked for: `n`, inputs to embed or to judge, results of a ranking.
        json_output: the answer must parse as JSON (response_format json_object, json_schema; vLLM's fields).
        web_search: the origin searches the web for this answer.
        remote_urls: some content part names a remote http(s) URL.
        bypass: reason word why this call is never cached (side effects, state, unresolved model), or None.
        fallback_models: the `models` list, in order.
        vectors: of embeddings, how they are to be written.
        tools: it brings tools.
        binary: its answer is bytes of a media type of their own, passed on as they come like a stream.
    """

    endpoint: str
    model: str
    stream: bool = False
    include_usage: bool = False
    service_tier: str | None = None
    determinism: Determinism = Determinism.UNSTATED
    choices: int = 1
    json_output: bool = False
    web_search: bool = False
    remote_urls: bool = False
    bypass: str | None = None
    fallback_models: tuple[str, ...] = ()
    vectors: Vectors = "float"
    tools: bool = False
    binary: bool = False

    @property
    def shape(self) -> Shape:
        """The rendering this caller would get."""
        if self.binary:
            return "bytes"
        if not self.stream:
            return "base64" if self.vectors == "base64" else "json"
        return "sse+usage" if self.include_usage else "sse"


class Keyed(Struct, frozen=True, gc=False):
    """A call with its key.

    Attributes:
        key: selects entry and flight.
        call: the facts about the request.
        shape: the rendering this caller gets (`call.shape`, computed once).
        elements: keys of the calls that this one is a batch of, in their order; else empty.
        asked: the call's own key, where `key` is that of one of its variants.
    """

    key: CacheKey
    call: Call
    shape: Shape
    elements: tuple[CacheKey, ...] = ()
    asked: CacheKey | None = None


class Bypass(Struct, frozen=True):
    """A call that is not cached, and why.

    Attributes:
        detail: reason word for Cache-Status, e.g. `duplicate-key`.
        model: as far as it could be read; empty when unknown.
    """

    detail: str
    model: str = ""


class Usage(Struct, frozen=True, array_like=True):
    """Tokens of one answer, as the origin reported them; the last report of a stream, never a sum.

    Attributes:
        cached_tokens: part of `prompt_tokens` read from the provider's prompt cache.
        cost_picousd: `usage.cost` in 1e-12 USD; None when the origin did not say (unpriced, never 0).
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_picousd: int | None = None


class Lifetime(Struct, frozen=True, array_like=True):
    """How long an entry is used, from its fill.

    Attributes:
        fresh_s: served without asking the origin.
        stale_while_revalidate_s, stale_if_error_s: windows after `fresh_s` (RFC 5861).
        rule: name of the policy row that gave it.
    """

    fresh_s: float
    stale_while_revalidate_s: float = 0.0
    stale_if_error_s: float = 0.0
    rule: str = ""

    @property
    def retention_s(self) -> float:
        """How long the bytes are worth keeping."""
        return self.fresh_s + max(self.stale_while_revalidate_s, self.stale_if_error_s)


class Entry(Struct, frozen=True, array_like=True):
    """One stored answer, from which every shape is rendered.

    Attributes:
        endpoint: which dialect renders it.
        form: how the origin wrote it.
        status: 200 for every inference answer.
        headers: the origin's field lines worth keeping (no set-cookie, date, ids, rate limits, framing).
        body: the JSON text, the origin's events (`data: …` with blank line each, `[DONE]` included) or bytes.
        locked: answers only the form that filled it (an event had a field that assembly does not know).
        has_usage: the answer carries token counts.
        content_class: value of `ContentClass`.
        model: the model the answer names.
        usage: tokens and cost.
        lifetime: windows from the fill; tiers keep the age.
        origin_s: how long the origin took, which is what a hit saves.
        origin_request_id: the origin's x-request-id, empty when it sent none.
        timing: milliseconds before each event of a stream, two bytes for each; empty where not known.
        cuts: renderings that need no reading of the body.
        content_type: of a body of bytes, as the origin wrote it; empty for the other forms.
        stamp: how much was known of purges when its call began, and which of them reach it; see `PurgeLog`.
    """

    endpoint: str
    form: Form
    status: int
    headers: Headers
    body: bytes
    locked: bool
    has_usage: bool
    content_class: str
    model: str
    usage: Usage
    lifetime: Lifetime
    origin_s: float
    origin_request_id: bytes = b""
    timing: bytes = b""
    cuts: tuple[Cut, ...] = ()
    content_type: bytes = b""
    stamp: bytes = b""


class Rendering(Struct, frozen=True):
    """One shape of an entry, written out.

    Attributes:
        body: exact bytes to send.
        content_type: value of the Content-Type field.
        etag: strong entity tag of `body`, quotes included (RFC 9110 §8.8.3); empty for bytes that no other
            answer will have.
    """

    body: bytes
    content_type: bytes
    etag: bytes


Fwd: TypeAlias = Literal["bypass", "method", "miss", "uri-miss", "vary-miss", "request", "stale", "partial"]
"""Why the origin was asked (RFC 9211 §2.2)."""


class Outcome(Struct, frozen=True):
    """How a call was answered: written to Cache-Status, booked in the ledger, seen by observers.

    Attributes:
        kind: the ledger's column.
        tier: `L1`, `disk`, `L2` for hits.
        fwd: RFC 9211 `fwd` word when the origin was asked, else None.
        fwd_status: the origin's status when it was asked.
        stored: the answer was stored (known only when the body was whole as the headers left).
        collapsed: this caller shared another's origin call.
        ttl_s: freshness left; negative when stale.
        detail: reason word.
        age_s: age of the answer served.
        saved_picousd: stored cost of an answer that was not paid again; None = unpriced or nothing saved.
    """

    kind: Literal["hit", "stale", "revalidated", "partial", "collapsed", "miss", "bypass", "error"]
    tier: str | None = None
    fwd: Fwd | None = None
    fwd_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    ttl_s: float | None = None
    detail: str | None = None
    age_s: float = 0.0
    saved_picousd: int | None = None


class Response(Struct):
    """An HTTP answer, from an origin or from us.

    Attributes:
        body: whole bytes, or an iterator of chunks that must be closed (`aclose`) by who reads it.
        outcome: how we answered; None for what an origin returns.
        framed: length or chunks tell the end of `body`; else it ends with the connection, as a cut one does.
    """

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes]
    outcome: Outcome | None = None
    framed: bool = True


Origin: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Asks the origin. Raises an `OriginError` (or its transport's own exception) when no response began."""


class Answer(Struct, frozen=True):
    """A whole origin answer that may be stored: what assembly and the content rules found in it.

    Attributes:
        form, body, locked, has_usage, model, usage: as in `Entry`.
        content_class: what kind of answer it is.
        short_lived: an answer whose `model` is not the first of a `models` list (fresh at most 60 s).
        searched: it names sources, so the origin searched, whether the call looked like it or not.
        expires_at_s: earliest instant at which something in it ends (`expires_at`, signed URLs), unix time.
        result_urls: it holds a result URL, or something else that ends, without an instant (at most 10 min).
        media_type: of the origin's response, lower-case, without parameters; empty where it is not known.
    """

    form: Form
    body: bytes
    locked: bool
    has_usage: bool
    content_class: ContentClass
    model: str
    usage: Usage
    short_lived: bool = False
    searched: bool = False
    expires_at_s: float | None = None
    result_urls: bool = False
    media_type: str = ""


class Refusal(Struct, frozen=True):
    """Why an answer is not stored.

    Attributes:
        detail: reason word for Cache-Status and the counter, e.g. `finish-reason`, `incomplete`, `status`.
        usage: what it cost, as far as it could be read.
    """

    detail: str
    usage: Usage = Usage()
