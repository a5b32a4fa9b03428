"""Makes, reads and compares entity tags (RFC 9110 §8.8.3, §13.1.2)."""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256

_TAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rb"[ \t,]*" + _TAG + rb"(?:[ \t]*,[ \t,]*" + _TAG + rb")*[ \t,]*")
_TAGS = re.compile(_TAG)
_ANY = b"*"


def make_etag(body: bytes) -> bytes:
    """The strong entity tag of exactly these bytes, quotes included: 128 bits of SHA-256."""
    digest = sha256(body, usedforsecurity=False).digest()
    return b'"%b"' % urlsafe_b64encode(digest[:16]).rstrip(b"=")


def parse_if_none_match(value: bytes) -> tuple[bytes, ...]:
    """The entity tags of an If-None-Match value as written, or `(b"*",)`.

    A value that is neither gives no tags: then nothing matches, and a whole answer is never wrong.
    """
    if value.strip(b" \t") == _ANY:
        return (_ANY,)
    if _LIST.fullmatch(value) is None:
        return ()
    return tuple(_TAGS.findall(value))


def matches(asked: tuple[bytes, ...], etag: bytes) -> bool:
    """Whether the answer tagged `etag` is one the caller has, by weak comparison (RFC 9110 §8.8.3.2)."""
    if not asked:
        return False
    opaque = etag.removeprefix(b"W/")
    return any(tag == _ANY or tag.removeprefix(b"W/") == opaque for tag in asked)
