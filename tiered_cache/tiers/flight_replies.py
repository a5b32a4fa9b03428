"""What the scripts and the channels of flights say, as values."""

from tiered_cache.core.claims import (
    TOKEN_BYTES,
    Beat,
    Bell,
    Busy,
    Claimed,
    Followed,
    FollowedBy,
    Frame,
    Led,
    Left,
    Log,
    News,
    Over,
    Standing,
    Stored,
)
from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.flight_scripts import BEAT, BELL, FOLLOWED_BY, FRAME, LEFT, NUMBER_BYTES
from tiered_cache.tiers.redis_replies import Reply

_NUMBER_AT = 1 + TOKEN_BYTES
_REST_AT = _NUMBER_AT + NUMBER_BYTES


def read_claimed(reply: Reply) -> Claimed:
    """The reply to a claim. Raises TierUnavailableError."""
    match reply:
        case [b"led", int(fence)] if fence > 0:
            return Led(fence)
        case [b"followed", *about]:
            return _read_followed(about)
        case [b"stored"]:
            return Stored()
        case [b"busy"]:
            return Busy()
        case [b"over"]:
            return Over()
        case _:
            raise _nonsense()


def _read_followed(about: list[Reply]) -> Followed:
    match about:
        case [
            bytes(token),
            bytes(mode),
            int(age_us),
            int(left_ms),
            int(generation),
            bytes(root),
            bytes(stamp),
            bytes(credential),
            *frames,
        ] if len(token) == TOKEN_BYTES:
            return Followed(
                token=token,
                mode=mode,
                age_us=age_us,
                left_ms=left_ms,
                generation=generation,
                root=root,
                stamp=stamp,
                credential=credential,
                frames=_read_frames(frames),
            )
        case _:
            raise _nonsense()


def read_standing(reply: Reply) -> Standing | None:
    """The reply to a leader's sign of life. Raises TierUnavailableError."""
    match reply:
        case None:
            return None
        case [int(followers), int(frames)]:
            return Standing(followers, frames)
        case _:
            raise _nonsense()


def read_ended(reply: Reply) -> bool:
    """The reply to who ends a flight; one that is not there has ended. Raises TierUnavailableError."""
    match reply:
        case None | 1:
            return True
        case 0:
            return False
        case _:
            raise _nonsense()


def read_log(reply: Reply) -> Log | None:
    """The reply to who reads frames. Raises TierUnavailableError."""
    match reply:
        case None:
            return None
        case [int(left_ms), int(ended), *frames]:
            return Log(_read_frames(frames), left_ms, bool(ended))
        case _:
            raise _nonsense()


def read_news(text: bytes) -> News | None:
    """What was said on this process' channel; None for what is none of ours."""
    if len(text) < _REST_AT:
        return None
    token, number = text[1:_NUMBER_AT], int.from_bytes(text[_NUMBER_AT:_REST_AT], "big")
    match text[:1]:
        case kind if kind == FRAME:
            return Frame(token, number, text[_REST_AT:])
        case kind if kind == BEAT:
            return Beat(token, number)
        case kind if kind == BELL:
            return Bell(token, number)
        case kind if kind == FOLLOWED_BY:
            return FollowedBy(token)
        case kind if kind == LEFT:
            return Left(token)
        case _:
            return None


def _nonsense() -> TierUnavailableError:
    """For a reply that no script of ours gives."""
    return TierUnavailableError("flight board")


def _read_frames(frames: list[Reply]) -> tuple[bytes, ...]:
    if not all(type(frame) is bytes for frame in frames):
        raise _nonsense()
    return tuple(frames)
