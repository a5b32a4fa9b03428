"""The operator's own side of the gateway, for who shows the admin token; off without one."""

import hashlib
import hmac
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from tiered_cache.core.scopes import Selector
from tiered_cache.core.vocabulary import Headers, Request, Response
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.purging import PurgeOrder
from tiered_cache.errors import RequestError
from tiered_cache.gateway.admission import Gate
from tiered_cache.gateway.forward import PREFIX

EXPLAIN_PATH = "/admin/explain"
PURGE_PATH = "/admin/purge"
PURGES_PATH = "/admin/purges"
ADMIN_PATHS = {EXPLAIN_PATH: "POST", PURGE_PATH: "POST", PURGES_PATH: "GET"}
"""Paths of this side, each with its method."""

_BEARER = b"bearer "


class _Call(Struct, forbid_unknown_fields=True):
    """A call to be explained.

    Attributes:
        body: the JSON text as it stands; a JSON string is taken for the text of a body.
    """

    body: Raw
    path: str | None = None
    headers: dict[str, str] | None = None


class _Asked(_Call, forbid_unknown_fields=True):
    """One call, or two: the second has the path and header fields of the first unless it names its own."""

    other: _Call | None = None


class _Purge(Struct, forbid_unknown_fields=True):
    """A purge: of what a selector names, or of the answer to a call."""

    what: Selector | None = None
    call: _Call | None = None
    soft: bool = False
    dry_run: bool = False
    by: str = ""


_ASKED = msgspec.json.Decoder(_Asked)
_PURGE = msgspec.json.Decoder(_Purge)
_HOW_TO_EXPLAIN = 'Send a JSON object: {"path", "headers", "body"}, and a second call as "other".'
_HOW_TO_PURGE = (
    'Send a JSON object: "what" with key, tag, model, tenant or everything, or a "call"; '
    '"soft", "dry_run" and "by" are optional.'
)

_T = TypeVar("_T")


class Admin:
    """Explains and purges calls as this gateway would take them.

    Args:
        cache: whose options and secret hold.
        gate: decides whom a call with these header fields is from.
        token: what operators show; compared in constant time.
    """

    def __init__(self, cache: Cache, gate: Gate, token: str) -> None:
        self._cache = cache
        self._gate = gate
        self._digest = _digest(token.encode())

    def admit(self, headers: Headers) -> None:
        """Let an operator in. Raises RequestError 401."""
        shown = [value[len(_BEARER) :].strip() for name, value in headers if _is_bearer(name, value)]
        if len(shown) != 1 or not hmac.compare_digest(_digest(shown[0]), self._digest):
            raise RequestError(
                "Show the admin token as Authorization: Bearer …; it is no API key.", 401, "invalid_api_key"
            )

    async def answer(self, path: str, body: bytes) -> Response:
        """The answer of one of `ADMIN_PATHS`. Raises RequestError 400 or 413."""
        match path:
            case "/admin/purge":
                return await self.purge(body)
            case "/admin/purges":
                return _answer(self._cache.purges)
            case _:
                return self.explain(body)

    async def purge(self, body: bytes) -> Response:
        """Do the purge that `body` asks for; 202 where some nodes will obey only when they are back."""
        asked = _read(body, _PURGE, _HOW_TO_PURGE)
        if (asked.what is None) is (asked.call is None):
            raise RequestError(_HOW_TO_PURGE)
        what: Selector | Request | None = asked.what
        if asked.call is not None:
            path = asked.call.path or "/v1/chat/completions"
            what = self._request(asked.call, path, asked.call.headers or {})
        assert what is not None  # one of them is there
        order = PurgeOrder(soft=asked.soft, dry_run=asked.dry_run, count=True, by=asked.by)
        record = await self._cache.purge(what, order)
        return _answer(record, 200 if record.complete else 202)

    def explain(self, body: bytes) -> Response:
        """The explanation that `body` asks for. Raises RequestError 400 or 413."""
        asked = _read(body, _ASKED, _HOW_TO_EXPLAIN)
        path = asked.path or "/v1/chat/completions"
        first = self._request(asked, path, asked.headers or {})
        if asked.other is None:
            return _answer(self._cache.explain(first))
        headers = asked.headers if asked.other.headers is None else asked.other.headers
        other = self._request(asked.other, asked.other.path or path, headers or {})
        return _answer(self._cache.explain(first, other))

    def _request(self, call: _Call, path: str, headers: dict[str, str]) -> Request:
        place, _, query = path.partition("?")
        if not place.startswith(PREFIX):
            raise RequestError("path: write for example /v1/chat/completions.", 400, "invalid_request")
        lines = tuple((name.strip().lower().encode(), value.encode()) for name, value in headers.items())
        try:
            admitted = self._gate(lines, query.encode())
        except RequestError as error:
            raise RequestError(
                "headers: this gateway would turn the call away: they hold no client key.",
                400,
                "invalid_request",
            ) from error
        return self._cache.request(
            place[len(PREFIX) :],
            _text(call.body),
            headers=admitted.headers,
            query=admitted.query,
            scope=admitted.scope,
        )


def _read(body: bytes, decoder: msgspec.json.Decoder[_T], how: str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # Outside the handler: no text of the request may hang on a raised error as its context.
    raise RequestError(how, 400, "invalid_request")


def _text(body: Raw) -> bytes:
    raw = bytes(body)
    return msgspec.json.decode(raw, type=str).encode() if raw[:1] == b'"' else raw


def _answer(told: Struct | tuple[Struct, ...], status: int = 200) -> Response:
    headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
    return Response(status, headers, msgspec.json.encode(told))


def _is_bearer(name: bytes, value: bytes) -> bool:
    return name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER


def _digest(token: bytes) -> bytes:
    """Of one length for every token, so that comparing tells nothing about it."""
    return hashlib.sha256(token).digest()
