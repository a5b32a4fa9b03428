"""Tells what kind of answer was given, and until when that holds to which it points."""

import re
from calendar import timegm
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from tiered_cache.core.canonical.form import kind_of
from tiered_cache.core.reading import Reading
from tiered_cache.core.vocabulary import Call, ContentClass

_TEXTS = frozenset(
    {
        *("content", "refusal", "text", "transcript"),
        *("reasoning", "reasoning_content", "summary", "thinking"),
        *("arguments", "input"),
    }
)
"""Members whose text the model wrote: a URL there is quoted, not a result."""

_SOURCES = frozenset({"annotations", "citations", "search_results"})
"""Members that name what the origin read: what a URL there shows is not part of the answer."""

_COPIES = frozenset({"logprobs"})
"""Members that say the text once more, in pieces."""

_INSTANTS = ("expires", "exp", "expiry", "expires_at", "x-expires", "se", "q-sign-time")
"""Parameters that are an instant, or end in one: CloudFront, S3 and GCS before their version 4, content
delivery networks; `se` is Azure's, `q-sign-time` (begin;end) Tencent's."""

_SIGNATURES = frozenset({"sig", "signature"})
_SPAN = re.compile(r"x-([a-z0-9]+)-expires", re.ASCII)
"""Seconds from `x-…-date`: S3 (`amz`), GCS (`goog`) and those who sign like them."""

_EXPIRES = "expires_at"
_TELLING = (b"://", b"expires_at", b"\\u", b"\\/")
"""Without one of these, escapes that may hide the others among them, a text cannot say that anything ends."""

_SIGNS = re.compile(r"exp|sig|(?:^|&)se=", re.IGNORECASE)
"""In the name of every parameter that counts: most URLs have none, and are not taken apart."""

_URL = re.compile(r"https?://[^\s\"'`<>()\[\]{}|\\^]+", re.IGNORECASE)
_WHOLE_URL = re.compile(r"\s*(https?://\S+)\s*", re.IGNORECASE)
_PUNCTUATION = ".,;:!?*_"
_MOMENT = re.compile(
    r"([1-9][0-9]{3})-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt ]([01][0-9]|2[0-3]):?([0-5][0-9])(?::?([0-5][0-9]|60)(?:\.[0-9]+)?)?"
    r"(?:[Zz]|([ +-])([01][0-9]|2[0-3]):?([0-5][0-9]))?)?",
    re.ASCII,
)
_UNIX = re.compile(r"[1-9][0-9]{9}(?:[0-9]{3})?", re.ASCII)
"""Seconds or milliseconds since 1970, of 2001 and later; smaller numbers are spans from nobody knows when."""

_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
_LATEST_S = 10**11
"""An instant beyond the year 5000 is one in milliseconds."""

_DECODE = msgspec.json.Decoder().decode


def classify(call: Call, reading: Reading) -> ContentClass:
    """The content class; an answer with tool calls is one of them whatever else it says."""
    if any(choice.calls for choice in reading.choices):
        return ContentClass.TOOL_CALL
    return ContentClass.STRUCTURED if call.json_output else ContentClass.CHAT


class Expiry(Struct, frozen=True):
    """When that ends to which an answer points.

    Attributes:
        at_s: the earliest instant that is stated, unix time; None where none is.
        unknown: something ends that does not say when.
    """

    at_s: float | None = None
    unknown: bool = False


def find_expiry(parts: Iterable[tuple[str, bytes]]) -> Expiry:
    """When parts of an answer end: every `expires_at`, every signed URL, and URLs that are results.

    In text that the model wrote, and in sources, only signed URLs count. Every other URL that is the whole of
    a text is taken for a result, wherever an origin may put it.

    Args:
        parts: members of the answer by name, each value as its JSON text.
    """
    found = _Findings()
    for name, text in parts:
        if name == _EXPIRES or any(mark in text for mark in _TELLING):
            found.walk(name, text)
    return Expiry(min(found.instants, default=None), found.unknown)


class _Findings:
    """What a walk over an answer has found so far."""

    __slots__ = ("instants", "unknown")

    def __init__(self) -> None:
        self.instants: list[float] = []
        self.unknown = False

    def walk(self, name: str, text: bytes) -> None:
        """Take in one member; without recursion, as an origin nests as deep as it likes."""
        try:
            todo: list[tuple[str, Any, bool]] = [(name, _DECODE(text), name in _SOURCES)]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.unknown = True
            return
        while todo:
            name, value, quoted = todo.pop()
            kind = kind_of(value)
            if kind is dict:
                inner = value.items()
                todo += [(key, each, quoted or key in _SOURCES) for key, each in inner if key not in _COPIES]
            elif kind is list:
                todo += [(name, each, quoted) for each in value]
            elif kind is str and name != _EXPIRES:
                self._note_text(value, quoted=quoted or name in _TEXTS)
            elif name == _EXPIRES and value is not None:
                self._note(_instant(value), ends=True)

    def _note_text(self, text: str, *, quoted: bool) -> None:
        text = _unescaped(text)
        result = None if quoted else _WHOLE_URL.fullmatch(text)
        if result is not None:
            self._note(_signed_until(result[1])[0], ends=True)
            return
        for url in _URL.findall(text):
            instant, signed = _signed_until(url.rstrip(_PUNCTUATION))
            self._note(instant, ends=signed)

    def _note(self, instant: float | None, *, ends: bool) -> None:
        if instant is not None:
            self.instants.append(instant)
        elif ends:
            self.unknown = True


def _unescaped(text: str) -> str:
    """A URL in JSON or HTML that stands in a text."""
    return text.replace("\\/", "/").replace("\\u0026", "&").replace("&amp;", "&")


def _signed_until(url: str) -> tuple[float | None, bool]:
    """The instant at which this URL ends, by its parameters, and whether it is a signed one at all."""
    query = url.partition("#")[0].partition("?")[2]
    if _SIGNS.search(query) is None:
        return None, False
    said = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    spans = [match for match in map(_SPAN.fullmatch, said) if match is not None]
    stated = [_moment(said[name]) for name in _INSTANTS if name in said]
    stated += [_after(said.get(f"x-{match[1]}-date"), said[match[0]]) for match in spans]
    signed = bool(spans) or any(name in _SIGNATURES or name.endswith("-signature") for name in said)
    return min((instant for instant in stated if instant is not None), default=None), signed


def _after(begin: str | None, span: str) -> float | None:
    instant = None if begin is None else _moment(begin)
    return instant + int(span) if instant is not None and _SECONDS.fullmatch(span) else None


def _instant(value: str | float) -> float | None:
    """Unix time that `expires_at` states, or None."""
    if isinstance(value, str):
        return _moment(value)
    return None if isinstance(value, bool) else _seconds(value)


def _moment(text: str) -> float | None:
    """Unix time of an instant as text (ISO 8601 or unix time; UTC where no zone is stated), or None."""
    text = text.strip().rpartition(";")[2]
    if _UNIX.fullmatch(text):
        return _seconds(int(text))
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    *date, hour, minute, second, sign, hours, minutes = match.groups()
    year, month, day = map(int, date)
    instant = timegm((year, month, day, int(hour or 0), int(minute or 0), int(second or 0)))
    # A plus sign in a query is read as a space.
    ahead = 0 if sign is None else (int(hours) * 60 + int(minutes)) * (-60 if sign == "-" else 60)
    return float(instant - ahead)


def _seconds(number: float) -> float:
    bounded = max(-(10.0**15), min(number, 10.0**15))
    return float(bounded / 1000 if bounded > _LATEST_S else bounded)
