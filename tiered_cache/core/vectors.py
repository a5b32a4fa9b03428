"""Embeddings as JSON numbers and as base64 of little-endian float32, exact to the last bit of a float32."""

import sys
from array import array
from base64 import b64decode, b64encode
from math import isfinite

import msgspec

from tiered_cache.core.raw_json import is_string, string

_NUMBERS = msgspec.json.Decoder(list[float])
_ENCODE = msgspec.json.Encoder().encode
_FLOAT32_BYTES = 4


def read_vector(text: bytes) -> "array[float] | None":
    """The vector that a JSON text says, in either form; None for all else, empty and infinite ones too.

    Numbers with more digits than a float32 holds are rounded to the nearest one.
    """
    vector = _of_base64(text) if is_string(text) else _of_numbers(text)
    # A sum of float32 stays far inside a double unless one of them is infinite or no number.
    return vector if vector and isfinite(sum(vector)) else None


def as_floats(text: bytes) -> bytes | None:
    """The vector as a JSON list, as it stands where it is one; None for what is no vector.

    A float32 is written with the digits of the double that equals it, so a reader of either width gets it.
    """
    if not is_string(text):
        return text
    vector = read_vector(text)
    return None if vector is None else _ENCODE(vector.tolist())


def as_base64(text: bytes) -> bytes | None:
    """The vector as a JSON string, as it stands where it is one; None for what is no vector."""
    if is_string(text):
        return text
    vector = read_vector(text)
    return None if vector is None else b'"%b"' % b64encode(_little(vector).tobytes())


def _of_base64(text: bytes) -> "array[float] | None":
    try:
        raw = b64decode(string(text) or "", validate=True)
    except ValueError:
        return None
    if len(raw) % _FLOAT32_BYTES:
        return None
    vector = array("f")
    vector.frombytes(raw)
    return _little(vector)


def _of_numbers(text: bytes) -> "array[float] | None":
    try:
        return array("f", _NUMBERS.decode(text))
    except (msgspec.DecodeError, UnicodeError, OverflowError):
        return None


def _little(vector: "array[float]") -> "array[float]":
    """Between this machine's order of bytes and the one on the wire, in either direction."""
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
