"""Raw bytes to one JSON object that every parser reads the same way, or the reason why there is none."""

import json
from math import isinf
from typing import Any, cast

import msgspec

from tiered_cache.core.canonical.form import UnsafeBodyError
from tiered_cache.errors import RequestError

MAX_DIGITS = 40
"""Digits a number may have; beyond it parsers differ in what they keep."""


def exact_float(text: str) -> float:
    """The double that `text` names.

    Raises:
        UnsafeBodyError: it overflows a double or has more than 40 digits.
    """
    # A text of 40 characters cannot hold 41 digits; the count is made for the rare longer one.
    if len(text) > MAX_DIGITS and sum(map(str.isdigit, text)) > MAX_DIGITS:
        raise UnsafeBodyError("number")
    value = float(text)
    if isinf(value):
        raise UnsafeBodyError("number")
    return value


def has_more_values(raw: bytes, most: int) -> bool:
    """Whether `raw` holds more JSON values than `most`, told at a small part of what parsing it costs.

    What counts is each comma and each opening bracket outside strings, so no value counts more than twice.
    More strings than half of `most` are too many as well, names of members included.
    """
    # The shortest value takes two bytes: a digit and a comma, or two brackets.
    if len(raw) <= 2 * most or _opened(raw) <= most:
        return False
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return plain.count(b'"') > most or _opened(b"".join(plain.split(b'"')[::2])) > most


def _opened(text: bytes) -> int:
    return len(text) - len(text.translate(None, b",[{"))


_DECODE = msgspec.json.Decoder(float_hook=exact_float).decode
_ENCODE = msgspec.json.Encoder().encode
_UNREADABLE: Any = object()


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`, mutable and owned by the caller of this function.

    Nesting and the digits of integers are not judged here: the walk that sees every value does that.

    Raises:
        RequestError: `raw` is empty, or no JSON parser reads it.
        UnsafeBodyError: it has no one safe meaning (`duplicate-key`, `number`, `surrogate`, `utf8`,
            `control-character`, `nesting`) or is not an object (`field-type`).
    """
    try:
        value = _DECODE(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _UNREADABLE
    if value is _UNREADABLE:
        # Outside the handler: no text of the request may hang on a raised error as its context.
        raise _unreadable(raw)
    encoded = _ENCODE(value)
    if encoded != raw and _has_duplicate_key(raw, encoded):
        raise UnsafeBodyError("duplicate-key")
    if type(value) is not dict:
        raise UnsafeBodyError("field-type")
    return cast("dict[str, Any]", value)


def _has_duplicate_key(raw: bytes, encoded: bytes) -> bool:
    """Whether decoding lost a member: `encoded` is the decoded value written out again.

    Every key and string has its quotes in both texts, and an escaped quote is one quote byte in both unless
    it was spelled as the code point. So fewer quotes in `encoded` mean that a member vanished.
    """
    lost = raw.count(b'"') - encoded.count(b'"')
    if lost > 0:
        return True
    if lost == 0 and b"\\u0022" not in raw:
        return False
    return _parse_strictly(raw.decode())


def _parse_strictly(text: str) -> bool:
    """Whether some object in `text` names a member twice."""
    found = False

    def note_pairs(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) != len(pairs)

    json.loads(text, object_pairs_hook=note_pairs, parse_int=str, parse_float=str)
    return found


def _unreadable(raw: bytes) -> UnsafeBodyError | RequestError:
    """What a body deserves that the strict parser refused: 400 only if a lenient parser refuses it too."""
    text, is_utf8 = _text_of(raw)
    detail = _lenient_detail(text)
    if detail is not None:
        return UnsafeBodyError(detail if is_utf8 else "utf8")
    if text.strip():
        return RequestError("The request body is not valid JSON.", code="invalid_json")
    return RequestError("The request body is empty.", code="empty_body")


def _text_of(raw: bytes) -> tuple[str, bool]:
    """The characters a lenient parser would see, and whether they were plain UTF-8 without a mark."""
    encoding = json.detect_encoding(raw)
    if encoding != "utf-8":
        return raw.decode(encoding, "replace"), False
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), False


def _lenient_detail(text: str) -> str | None:
    """Why the strict parser refuses what Python's lenient one reads; None where that one fails too."""
    odd_numbers: list[str] = []

    def judge_integer(number: str) -> None:
        if len(number) > MAX_DIGITS:
            odd_numbers.append(number)

    def judge_float(number: str) -> None:
        try:
            exact_float(number)
        except UnsafeBodyError:
            odd_numbers.append(number)

    try:
        value = json.loads(
            text,
            strict=False,  # control characters inside strings are all that is left to be lenient about
            parse_constant=odd_numbers.append,
            parse_int=judge_integer,
            parse_float=judge_float,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "surrogate"
    except RecursionError:
        return "nesting"
    except ValueError:
        return None
    return "number" if odd_numbers else "control-character"
