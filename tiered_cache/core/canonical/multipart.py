"""Reads multipart/form-data (RFC 7578) as SDKs and browsers write it; all other spellings are refused.

Parsers differ in what they make of preambles, folded lines, odd quoting and the like, so that two of them can
read two forms in one body. Only what all read alike is read here.
"""

import re

from msgspec import Struct

from tiered_cache.core.canonical.form import UnsafeBodyError

MAX_PARTS = 128
MAX_HEAD_BYTES = 4096
"""Of the field lines of one part."""

_TYPE = re.compile(
    rb"multipart/form-data[ \t]*;[ \t]*boundary=(?:\"([0-9A-Za-z'()+_,./:=?-]{1,70})\""
    rb"|([0-9A-Za-z'+_.-]{1,70}))[ \t]*",
    re.IGNORECASE,
)
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
"""Blanks around a value are taken off afterwards: three runs that all match blanks would take cubic time."""

_DISPOSITION = re.compile(rb"form-data((?:[ \t]*;[ \t]*[A-Za-z]+=\"[^\"\r\n]*\")+)", re.IGNORECASE)
_PARAMETER = re.compile(rb";[ \t]*([A-Za-z]+)=\"([^\"\r\n]*)\"")
_NESTED = "multipart/"
_BLANKS = b" \t"


class Part(Struct, frozen=True, gc=False):
    """One part of a form.

    Attributes:
        name: of the field, as it is written between the quotes.
        filename: the same; None for a part that is no file.
        content_type: as it is written; None where the part does not say.
        content: what it holds, a view of the body.
    """

    name: str
    filename: str | None
    content_type: str | None
    content: memoryview


def read_parts(raw: bytes, content_type: bytes) -> list[Part]:
    """The parts of a form, in order; none of them is copied.

    Args:
        raw: the whole body.
        content_type: value of the call's one Content-Type field.

    Raises:
        UnsafeBodyError: `multipart`, no such form or not written plainly; `utf8`, a name is not UTF-8.
    """
    mark = b"--" + _boundary(content_type)
    if not raw.startswith(mark):
        raise UnsafeBodyError("multipart")
    view, parts, position = memoryview(raw), list[Part](), len(mark)
    while not _is_end(raw, position):
        if len(parts) == MAX_PARTS or raw[position : position + 2] != b"\r\n":
            raise UnsafeBodyError("multipart")
        begin = position + 2
        head_end = raw.find(b"\r\n\r\n", begin, begin + MAX_HEAD_BYTES)
        found = raw.find(mark, begin)
        end = found - 2
        # A mark behind a bare LF, or behind none, is a delimiter to some parsers and content to others.
        if head_end < 0 or end < head_end + 4 or raw[end:found] != b"\r\n":
            raise UnsafeBodyError("multipart")
        parts.append(_part(raw[begin:head_end], view[head_end + 4 : end]))
        position = found + len(mark)
    return parts


def _boundary(content_type: bytes) -> bytes:
    found = _TYPE.fullmatch(content_type)
    if found is None:
        raise UnsafeBodyError("multipart")
    quoted, token = found.groups()
    boundary: bytes = token if quoted is None else quoted
    return boundary


def _is_end(raw: bytes, position: int) -> bool:
    """Whether the closing delimiter stands before `position`, with nothing behind it but a line's end."""
    return raw[position : position + 5] in {b"--", b"--\r\n"}


def _part(head: bytes, content: memoryview) -> Part:
    lines = _lines(head)
    parameters = _parameters(lines.pop("content-disposition", b""))
    name, filename = parameters.pop("name", ""), parameters.pop("filename", None)
    told = lines.pop("content-type", None)
    length = lines.pop("content-length", None)
    wrong_length = length is not None and length != b"%d" % len(content)
    content_type = None if told is None else _text(told)
    nested = content_type is not None and content_type.lower().startswith(_NESTED)
    if not name or parameters or lines or wrong_length or nested:
        raise UnsafeBodyError("multipart")
    return Part(name, filename, content_type, content)


def _lines(head: bytes) -> dict[str, bytes]:
    """The field lines of a part by lower-case name; none may be there twice."""
    lines: dict[str, bytes] = {}
    for line in head.split(b"\r\n"):
        found = _LINE.fullmatch(line)
        name = "" if found is None else found[1].decode().lower()
        if found is None or name in lines:
            raise UnsafeBodyError("multipart")
        lines[name] = found[2].strip(_BLANKS)
    return lines


def _parameters(disposition: bytes) -> dict[str, str]:
    """Parameters of a Content-Disposition by lower-case name, verbatim.

    A backslash before the closing quote may or may not escape it.
    """
    found = _DISPOSITION.fullmatch(disposition)
    if found is None:
        raise UnsafeBodyError("multipart")
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(found[1]):
        key = name.decode().lower()
        if key in parameters or value.endswith(b"\\"):
            raise UnsafeBodyError("multipart")
        parameters[key] = _text(value)
    return parameters


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        pass
    # Outside the handler: no text of the request may hang on a raised error as its context.
    raise UnsafeBodyError("utf8")
