"""Counts money exactly, in whole pico-dollars (1e-12 USD)."""

import re
from decimal import Decimal

from tiered_cache.core.raw_json import integer

PICO = 10**12
ABSURD_PICOUSD = 10**6 * PICO
"""A million dollars for one call is a broken report, not a price."""

_DIGITS = 12
_MOST_TOKENS = 2**53
_LONGEST = 128
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?")


def picousd(amount: str | bytes | Decimal | float | None) -> int | None:
    """Pico-dollars of an amount in USD: a JSON number's text, a Decimal, an int, a float (its shortest text).

    What lies below 1e-12 is rounded half to even. None for what nobody can have paid: negative, NaN,
    infinite, not a JSON number, a million dollars or more.
    """
    if amount is None or (isinstance(amount, int) and amount >= ABSURD_PICOUSD):
        return None
    text = _text(amount)
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups("")
    digits = int(whole + fraction)
    if digits == 0:
        return 0
    if sign:
        return None
    value = _scaled(digits, int(exponent or "0") - len(fraction) + _DIGITS)
    return value if value < ABSURD_PICOUSD else None


def usd_text(cost_picousd: int) -> bytes:
    """Dollars as a plain decimal: no exponent, no trailing zeros."""
    sign = "-" if cost_picousd < 0 else ""
    dollars, rest = divmod(abs(cost_picousd), PICO)
    fraction = f"{rest:0{_DIGITS}}".rstrip("0")
    return f"{sign}{dollars}.{fraction}".rstrip(".").encode()


def token_count(text: bytes | None) -> int:
    """Tokens that a JSON number's text counts; 0 where it is no count."""
    count = integer(text)
    return count if count is not None and 0 <= count < _MOST_TOKENS else 0


def _text(amount: str | bytes | Decimal | float) -> str:
    """The number as JSON would write it; bytes that are no ASCII come out as no number."""
    if isinstance(amount, bytes):
        return amount.decode("ascii", "replace")
    return amount if isinstance(amount, str) else str(amount)


def _scaled(digits: int, exponent: int) -> int:
    """`digits` x 10^`exponent` to the nearest integer, half to even; absurd or zero beyond the bounds."""
    if exponent >= 0:
        return int(digits * 10**exponent) if exponent < _LONGEST else ABSURD_PICOUSD
    if -exponent > _LONGEST + 1:
        return 0
    unit: int = 10**-exponent
    value, rest = divmod(digits, unit)
    return value + (2 * rest > unit or (2 * rest == unit and value % 2 == 1))
