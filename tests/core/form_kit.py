"""Writes multipart forms as SDKs do, with any boundary, order and spelling of field lines."""

from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.vocabulary import Bypass

ENDPOINT = "audio/transcriptions"
SOUND = bytes(range(256)) + b"\r\n--almost\r\n"
FILE = ("file", SOUND, "a.mp3", "audio/mpeg")
FIELDS = (("model", b"openai/whisper-1"), FILE)


def part(name, content, filename=None, content_type=None, *, loud=False) -> bytes:
    lines = [f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')]
    names = ["CONTENT-DISPOSITION" if loud else "Content-Disposition"]
    if content_type is not None:
        lines.append(content_type)
        names.append("content-TYPE" if loud else "Content-Type")
    pairs = [f"{name}:{'  ' if loud else ' '}{line}" for name, line in zip(names, lines, strict=True)]
    return "\r\n".join(reversed(pairs) if loud else pairs).encode() + b"\r\n\r\n" + content


def form(*parts, boundary="b0undary", loud=False, tail=b"\r\n") -> bytes:
    mark = boundary.encode()
    written = [b"--%b\r\n%b\r\n" % (mark, part(*one, loud=loud)) for one in parts]
    return b"".join(written) + b"--%b--" % mark + tail


def typed(boundary="b0undary") -> bytes:
    return b"multipart/form-data; boundary=" + boundary.encode()


def typed_as_begun(raw: bytes) -> bytes:
    """The content type that names the boundary with which a body begins."""
    return b"multipart/form-data; boundary=" + raw[2:].partition(b"\r\n")[0]


def told(*parts, boundary="b0undary", options=None, **how) -> Canonical | Bypass:
    raw = form(*parts, boundary=boundary, **how)
    return canonicalise(ENDPOINT, raw, options or KeyOptions(), content_type=typed(boundary))
