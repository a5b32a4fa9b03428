"""Reads the plainest chunk of a chat stream quickly: one choice, its delta, a head like all others."""

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

_ABSENT = Raw(b"")


class PlainChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """A choice that says nothing but its delta."""

    index: int
    delta: Raw
    finish_reason: None = None
    logprobs: None = None


class PlainChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """A chunk with one such choice. Every field keeps its raw text."""

    choices: tuple[PlainChoice]
    id: Raw = _ABSENT
    object: Raw = _ABSENT
    created: Raw = _ABSENT
    model: Raw = _ABSENT
    provider: Raw = _ABSENT
    service_tier: Raw = _ABSENT
    system_fingerprint: Raw = _ABSENT
    usage: None = None
    obfuscation: Raw = _ABSENT

    def head(self) -> tuple[Raw, ...]:
        """What the chunk says beside its delta: a chunk with the same head adds nothing there."""
        return self.id, self.created, self.model, self.provider, self.service_tier, self.system_fingerprint


_CHUNK = Decoder(PlainChunk)


def read_plain(data: bytes) -> PlainChunk | None:
    """The chunk, or None for every other, and for every text that a strict parser might refuse.

    Raw values are searched for lone surrogates, but not for invalid UTF-8: that is asked of the whole text.
    """
    try:
        if not data.isascii():
            data.decode()
        return _CHUNK.decode(data)
    except (DecodeError, UnicodeError, RecursionError):
        return None
