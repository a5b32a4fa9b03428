"""Damages the text of a body at one place, for laws about what a changed byte means."""

from hypothesis import strategies as st

from tests.core.chat_kit import compact
from tests.properties.strategies import raw_spellings

_PIECES = [b"", b'"', b"1", b"0", b" ", b".0", b"e1", b"-", b"a", b"\\", b",", b"null", b"true", b"{}"]


def spelled_and_damaged(data, body) -> tuple[bytes, bytes]:
    """A spelling of the body, and the same with a few bytes cut out and a piece put in."""
    raw = data.draw(raw_spellings(body)) if data.draw(st.booleans()) else compact(body)
    at = data.draw(st.integers(0, len(raw) - 1))
    return raw, raw[:at] + data.draw(st.sampled_from(_PIECES)) + raw[at + data.draw(st.integers(0, 2)) :]
