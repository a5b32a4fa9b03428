"""Says why a call has its key, what would be done with it, and why two calls have different keys."""

from msgspec import UNSET, Struct, json, structs

from tiered_cache.core.canonical import USAGE_ON_REQUEST, Canonical
from tiered_cache.core.canonical.catalogue import Catalogue, catalogue_of
from tiered_cache.core.differences import Difference, differences, text_of
from tiered_cache.core.directives import KEY_HEADERS, read_key_fields
from tiered_cache.core.keys import Keyer, key_text
from tiered_cache.core.lasting import Lasting, lasting_of
from tiered_cache.core.policy import Plan, plan
from tiered_cache.core.profiles import GENERATION, Profile
from tiered_cache.core.replay import Replay
from tiered_cache.core.vocabulary import Bypass, Call, Keyed, Request

_BYPASS = Plan(store=False, collapse=False, rule="bypass", detail=None)
_USAGE = "the origin says what a stream costs only if asked"
_STREAM = "a rule asks the origin for streams, so that all callers can join them"
_NULL = "null is absent"
_NULL_SOURCE = "The API reference documents the field as optional and nullable"


class Dropped(Struct, frozen=True):
    """What was left out of the canonical form.

    Attributes:
        path: where it stood, `[]` for each element.
        why: `transport`, `identity`, `default` or `null is absent`.
        source: who says that the answer does not depend on it.
    """

    path: str
    why: str
    source: str


class Edit(Struct, frozen=True):
    """A member that is set in the body that the origin gets."""

    path: str
    value: bool
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """All that is decided about one call before the origin is asked.

    Attributes:
        key: as text; None where the call is not keyed.
        cacheable: its answer may be looked up and stored.
        reason: word of `Cache-Status`: why not, or what the caller left open (`unstated`).
        dropped: what is not in the canonical form.
        rule: the operator's rule or the row of the lifetime table, or `bypass`.
        lifetime: None where nothing is stored.
        replay: how fast a stored stream would be given.
        variants: how many answers a rule keeps, each under a key made of `key`; 0 for one under `key` itself.
        edits: made to the body on the way to the origin.
        canonical: the canonical text; None where the body has none.
        looser: what an operator's rule has that text overlook.
    """

    key: str | None
    cacheable: bool
    reason: str | None
    dropped: tuple[Dropped, ...]
    rule: str
    lifetime: Lasting | None
    replay: Replay
    variants: int
    edits: tuple[Edit, ...]
    canonical: str | None
    looser: tuple[str, ...] = ()


class Comparison(Struct, frozen=True):
    """Whether two calls are the same call.

    Attributes:
        same: both are keyed and their keys are equal.
        differences: what the keys were made of, where it differs; reason words of calls without a key.
    """

    same: bool
    differences: tuple[Difference, ...]


def explain(keyer: Keyer, profile: Profile, request: Request) -> Explanation:
    """What is decided about `request`.

    Raises:
        RequestError: the body is empty or no JSON parser reads it.
    """
    form, keyed = keyer.form(request), keyer.key(request)
    call = form.call if isinstance(form, Canonical) else None
    refused = _refusal(request, keyed)
    if call is None or refused is not None:
        return _explanation(keyed, form, request, _BYPASS, reason=refused)
    tenant = "" if request.scope is None else request.scope.tenant
    planned = plan(profile, call, tenant)
    lasting = lasting_of(profile, call, request.ask, tenant, keyed) if planned.store else None
    reason = planned.detail
    if lasting is None and reason is None:  # the row stores nothing, or the caller's ttl is zero
        reason = "ttl" if planned.store else planned.rule
    found = _explanation(keyed, form, request, planned, reason=reason, lasting=lasting)
    if lasting is None or request.plain_body is not None:
        return found
    return structs.replace(found, edits=_edits(call, planned))


def compare(keyer: Keyer, request: Request, other: Request) -> Comparison:
    """Why the keys of two calls differ, or that they do not.

    Raises:
        RequestError: one body is empty or no JSON parser reads it.
    """
    first, second = keyer.key(request), keyer.key(other)
    same = not isinstance(first, Bypass) and not isinstance(second, Bypass) and first.key == second.key
    if same:
        return Comparison(same=True, differences=())
    words = [keyed.detail if isinstance(keyed, Bypass) else UNSET for keyed in (first, second)]
    found = _beside_body(_parts(keyer, request), _parts(keyer, other))
    forms = keyer.form(request), keyer.form(other)
    if isinstance(forms[0], Canonical) and isinstance(forms[1], Canonical):
        found += differences(json.decode(forms[0].text), json.decode(forms[1].text))
    if words != [UNSET, UNSET]:
        found = (Difference("reason word", text_of(words[0]), text_of(words[1])), *found)
    return Comparison(same=False, differences=found)


def _refusal(request: Request, keyed: Keyed | Bypass) -> str | None:
    if isinstance(keyed, Bypass):
        return keyed.detail
    return "no-store" if request.ask.no_store else None


def _explanation(
    keyed: Keyed | Bypass,
    form: Canonical | Bypass,
    request: Request,
    planned: Plan,
    *,
    reason: str | None,
    lasting: Lasting | None = None,
) -> Explanation:
    dropped: tuple[Dropped, ...] = ()
    canonical: str | None = None
    if isinstance(form, Canonical):
        dropped, canonical = _dropped(form.dropped, catalogue_of(request.endpoint)), form.text.decode()
    return Explanation(
        key=None if isinstance(keyed, Bypass) else key_text(keyed.key),
        cacheable=lasting is not None,
        reason=reason,
        dropped=dropped,
        rule=planned.rule,
        lifetime=lasting,
        replay=planned.replay_for(request.ask),
        variants=planned.variants,
        edits=(),
        canonical=canonical,
        looser=form.looser if isinstance(form, Canonical) else (),
    )


def _edits(call: Call, planned: Plan) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    streams = call.stream or (planned.gives.upstream_stream is True and call.endpoint in GENERATION)
    if streams and not call.stream:
        edits.append(Edit("stream", value=True, why=_STREAM))
    if streams and not call.include_usage and call.endpoint in USAGE_ON_REQUEST:
        edits.append(Edit("stream_options.include_usage", value=True, why=_USAGE))
    return tuple(edits)


def _dropped(notes: tuple[str, ...], tables: Catalogue) -> tuple[Dropped, ...]:
    """Each row once, however often it applied."""
    found: list[Dropped] = []
    for note in dict.fromkeys(notes):
        path, _, why = note.rpartition(": ")
        found.append(Dropped(path, why, _NULL_SOURCE if why == _NULL else tables.source(note)))
    return tuple(found)


def _beside_body(first: dict[str, str], second: dict[str, str]) -> tuple[Difference, ...]:
    """Where the calls differ in what joins the key beside the body."""
    names = dict.fromkeys((*first, *second))
    pairs = [(name, text_of(first.get(name, UNSET)), text_of(second.get(name, UNSET))) for name in names]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def _parts(keyer: Keyer, request: Request) -> dict[str, str]:
    scope = request.scope
    parts = {"partition endpoint": request.endpoint}
    if scope is not None:
        parts |= {"partition origin": scope.origin_id, "partition tenant": scope.tenant}
    if request.query:
        words = [_discreet(keyer, *word.partition(b"=")) for word in request.query.split(b"&")]
        parts["query string"] = "&".join(words)
    for name, value in read_key_fields(request.ask.key_fields).items():
        known = name.encode() in KEY_HEADERS
        parts[f"header {name}"] = value if known else _mark(keyer, name.encode(), value.encode("latin-1"))
    return parts


def _discreet(keyer: Keyer, name: bytes, equals: bytes, value: bytes) -> str:
    """One word of a query; of a credential in it only a mark."""
    shown = _mark(keyer, name, value) if name == b"key" else value.decode("latin-1")
    return name.decode("latin-1") + equals.decode() + shown


def _mark(keyer: Keyer, name: bytes, value: bytes) -> str:
    """Tells values apart that may be credentials, and tells nothing else about them."""
    return f"(digest {keyer.credential_digest([(name, value)]).hex()[:16]})"
