"""Golden calls of transcriptions: forms, with every field and in many spellings."""

from tests.core.form_kit import ENDPOINT, FIELDS, FILE, SOUND, form, typed
from tests.core.vectors.call_parts import row
from tiered_cache.core.canonical.transcriptions import JSON_FORMATS, KNOWN_NAMES, TEXT_FORMATS

MODEL = FIELDS[0]
FILES = (
    *(("file", b"", "a.mp3", "audio/mpeg"), ("file", SOUND, "b.mp3", "audio/mpeg"), ("file", SOUND, "a.mp3", None)),
    *(("file", SOUND, "a.mp3", "audio/wav"), ("file", SOUND, "é.mp3", "audio/mpeg"), ("file", SOUND, "", "audio/mpeg")),
    *(("file", SOUND, None, "audio/mpeg"), ("file", SOUND, None, None), ("File", SOUND, "a.mp3", None)),
)  # fmt: skip
VALUES = (b"", b"a", b"A", b" a", "é".encode(), b"\xff", b"0", b"0.0", b"true", b"false", b"a\r\nb")
CONTENT_TYPES = (
    *("application/json", "multipart/form-data", "multipart/mixed; boundary=b0undary", "multipart/form-data; boundary=x"),
    *('multipart/form-data; boundary="b0undary"', "Multipart/Form-Data;Boundary=b0undary", "multipart/form-data; boundary=b0undary; a=b"),
)  # fmt: skip
SPELLINGS = (
    *((b"\r\n", b"\n"), (b'name="model"', b"name=model"), (b"audio/mpeg", b"multipart/mixed"), (b"form-data;", b"FORM-DATA ;")),
    *((b"audio/mpeg", b"audio/mpeg\r\nContent-Transfer-Encoding: binary"), (b"audio/mpeg", b"audio/mpeg\r\nContent-Length: 270")),
    *((b"audio/mpeg", b"audio/mpeg\r\nContent-Length: 1"), (b'name="model"', b'name="model\\"'), (b"a.mp3", b"\xff.mp3")),
    *((b"--b0undary\r\n", b"--b0undary \r\n"), (b"--b0undary\r\n", b"x\r\n--b0undary\r\n"), (b'; filename="a.mp3"', b"; filename*=a")),
)  # fmt: skip


def of_forms():
    yield _row("a form", form(*FIELDS))
    yield _row(
        "a form, another boundary, order and spelling", form(FILE, MODEL, boundary="x", loud=True), "x"
    )
    yield row("no content type", ENDPOINT, form(*FIELDS))
    for each in FILES:
        yield _row(f"file {each[0]} {each[2:]}", form(MODEL, each))
    for name in (*KNOWN_NAMES, "models[]", "x", "x[]", "é"):
        for value in VALUES:
            yield _row(f"{name} = {value!r}", form(*FIELDS, (name, value)))
        yield _row(f"{name} twice", form(*FIELDS, (name, b"b"), (name, b"a")))
    for each in (*sorted(JSON_FORMATS | TEXT_FORMATS), "docx"):
        yield _row(f"response_format {each}", form(*FIELDS, ("response_format", each.encode())))
    for model in (b"policy/p", b"", b"gpt-4o-transcribe"):
        yield _row(f"model {model!r}", form(("model", model), FILE))
    for old, new in SPELLINGS:
        yield _row(f"{old!r} as {new!r}", form(*FIELDS).replace(old, new))
    for told in CONTENT_TYPES:
        yield row(f"content type {told}", ENDPOINT, form(*FIELDS), headers=[["content-type", told]])


def _row(name, raw, boundary="b0undary"):
    return row(name, ENDPOINT, raw, headers=[["content-type", typed(boundary).decode()]])
