"""Entries as tiers take and give them: with their bytes, and with their age."""

from msgspec import Struct

from tiered_cache.core.vocabulary import Entry


class Sealed(Struct, frozen=True):
    """An entry with its encoded bytes: encoded once at the fill, decoded once on the way up.

    Attributes:
        fence: of the lease it was filled under. It does not replace what a later one has written. Without a
            lease it is negative: so many microseconds before the fill the call began. 0 replaces all.
    """

    entry: Entry
    payload: bytes
    fence: int = 0


class Found(Struct, frozen=True):
    """What a tier gives back.

    Attributes:
        age_s: seconds since the fill by this tier's own clock; passed on, so no tier lengthens a lifetime.
    """

    sealed: Sealed
    age_s: float
