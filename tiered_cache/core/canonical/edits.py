"""The edits that are made to a caller's body before the origin gets it."""

import msgspec

USAGE_ON_REQUEST = frozenset({"chat/completions", "completions"})
"""Endpoints whose streams say what they cost only if `stream_options.include_usage` asks for it."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    stream_options: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_HEAD = msgspec.json.Decoder(_Head)


def with_usage_requested(raw: bytes) -> bytes:
    """The body with `stream_options.include_usage` true, the raw text of everything else kept.

    Args:
        raw: a body that was canonicalised; one that asks already, or is no such body, comes back as it is.
    """
    try:
        options = _HEAD.decode(raw).stream_options
        if isinstance(options, msgspec.UnsetType):
            return _insert_first(raw)
        asked = {} if bytes(options) == b"null" else _MEMBERS.decode(options)
        if bytes(asked.get("include_usage", b"")) == b"true":
            return raw
        members = _MEMBERS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw
    asked["include_usage"] = msgspec.Raw(b"true")
    members["stream_options"] = msgspec.Raw(_ENCODE(asked))
    return _ENCODE(members)


def _insert_first(raw: bytes) -> bytes:
    """Written as the first member, which leaves every byte of the caller's text as it was."""
    begin = raw.index(b"{") + 1
    comma = b"" if raw[begin:].lstrip()[:1] == b"}" else b","
    return b'%b"stream_options":{"include_usage":true}%b%b' % (raw[:begin], comma, raw[begin:])


def with_stream_requested(raw: bytes) -> bytes:
    """The body with `stream` true, the raw text of everything else kept. `raw`: a body that has a key."""
    members = _MEMBERS.decode(raw)
    members["stream"] = msgspec.Raw(b"true")
    return _ENCODE(members)
