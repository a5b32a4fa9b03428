"""Transcriptions: which forms ask for the same text, what no form is read from, which answers are kept."""

import hashlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio.transcription_create_params import (
    TranscriptionCreateParamsNonStreaming,
    TranscriptionCreateParamsStreaming,
)

from tests.core.form_kit import ENDPOINT, FIELDS, FILE, SOUND, form, told, typed
from tests.core.sdk_fields import fields_of
from tiered_cache.core.answers import read_json, refuse_head, render
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.transcriptions import JSON_FORMATS, KNOWN_NAMES, TEXT_FORMATS
from tiered_cache.core.keys import Keyer
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.vocabulary import (
    Answer,
    Bypass,
    Entry,
    Keyed,
    Lifetime,
    Refusal,
    Request,
    Scope,
    Usage,
)


def test_the_canonical_form_is_readable_and_holds_a_digest_of_the_file():
    assert json.loads(told(*FIELDS, ("include[]", b"a"), ("include[]", b"b")).text) == {
        "file": [
            {
                "bytes": len(SOUND),
                "content_type": "audio/mpeg",
                "filename": "a.mp3",
                "sha256": hashlib.sha256(SOUND).hexdigest(),
            }
        ],
        "include[]": ["a", "b"],
        "model": ["openai/whisper-1"],
    }


NAMES = st.sampled_from(["prompt", "language", "include[]", "timestamp_granularities[]", "x"])
VALUES = st.binary(max_size=12).filter(lambda value: b"\r\n--" not in value)
BOUNDARIES = st.from_regex(r"[0-9A-Za-z'+_.-]{20,70}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), VALUES, BOUNDARIES, st.booleans(), st.randoms())
def test_another_spelling_is_the_same_call(fields, sound, boundary, loud, random):
    """Boundary, order of names, spelling of field lines; fields of one name keep their order."""
    parts = [("model", b"m"), ("file", sound, "a.mp3", "audio/mpeg"), *fields]
    places = {name: [one for one in parts if one[0] == name] for name, *_ in parts}
    names = [one[0] for one in parts]
    random.shuffle(names)
    mixed = [places[name].pop(0) for name in names]
    one, other = told(*parts), told(*mixed, boundary=boundary, loud=loud, tail=b"")
    assert isinstance(one, Canonical)
    assert one.text == other.text


@given(VALUES, VALUES)
def test_any_other_byte_of_the_file_is_another_call(one, other):
    first, second = (told(("model", b"m"), ("file", each, "a", "b/c")) for each in (one, other))
    assert (first.text == second.text) is (one == other)


def test_calls_that_differ_differ():
    sound = FILE[1:]
    forms = [
        told(*FIELDS),
        told(("model", b"openai/whisper-2"), FILE),
        told(FIELDS[0], ("file", SOUND, "b.mp3", "audio/mpeg")),
        told(FIELDS[0], ("file", SOUND, "a.mp3", "audio/wav")),
        told(FIELDS[0], ("file", SOUND, "a.mp3")),
        told(FIELDS[0], ("file", SOUND + b"\0", *sound[1:])),
        told(*FIELDS, ("file2", *sound)),
        told(*FIELDS, ("prompt", b"")),
        told(*FIELDS, ("prompt", b"a")),
        told(*FIELDS, ("prompt", b"a", None, "text/plain")),
        told(*FIELDS, ("prompt", b"A")),
        told(*FIELDS, ("prompt", b"\xff")),
        told(*FIELDS, ("temperature", b"0")),
        told(*FIELDS, ("temperature", b"0.0")),
        told(*FIELDS, ("response_format", b"json")),
        told(*FIELDS, ("include[]", b"a"), ("include[]", b"b")),
        told(*FIELDS, ("include[]", b"b"), ("include[]", b"a")),
        told(*FIELDS, ("include", b"a"), ("include[]", b"b")),
        told(*FIELDS, ("user", b"u")),
    ]
    assert len({form.text for form in forms}) == len(forms)


GOOD = form(*FIELDS)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        GOOD[2:],
        b"preamble\r\n" + GOOD,
        b"\r\n" + GOOD,
        GOOD + b"epilogue",
        GOOD[:-4],
        GOOD.replace(b"\r\n", b"\n"),
        GOOD.replace(b"--b0undary\r\n", b"--b0undary \r\n"),
        GOOD.replace(b"--b0undary\r\n", b"--b0undaryX\r\n", 1),
        GOOD.replace(b"form-data;", b"attachment;"),
        GOOD.replace(b'name="model"', b"name=model"),
        GOOD.replace(b'name="model"', b'name="model"; name="model"'),
        GOOD.replace(b'name="model"', b'name=""'),
        GOOD.replace(b'name="model"', b'name="a\\"'),
        GOOD.replace(b'filename="a.mp3"', b"filename*=UTF-8''a.mp3"),
        GOOD.replace(b"audio/mpeg", b"multipart/mixed; boundary=x"),
        GOOD.replace(b"audio/mpeg", b"audio/mpeg\r\nContent-Transfer-Encoding: base64"),
        GOOD.replace(b"audio/mpeg", b"audio/mpeg\r\nContent-Type: audio/wav"),
        GOOD.replace(b"audio/mpeg", b"audio/mpeg\r\nContent-Length: 3"),
        GOOD.replace(b"audio/mpeg", b"audio/mpeg;\r\n charset=x"),
        GOOD.replace(b"audio/mpeg", b"audio/mpeg\r\nX-Long: " + b"a" * 5000),
        form(*FIELDS, *[("x", b"")] * 200),
        form(*FIELDS, ("prompt", b"a\n--b0undary\nb")),
        form(*FIELDS, ("prompt", b"a\r--b0undary\rb")),
        form(*FIELDS, ("prompt", b"--b0undary--")),
        form(*FIELDS, ("prompt--b0undary", b"")),
    ],
)
def test_what_parsers_may_read_differently_bypasses(raw):
    assert canonicalise(ENDPOINT, raw, KeyOptions(), content_type=typed()) == Bypass("multipart")


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/mixed; boundary=b0undary",
        b"multipart/form-data; boundary=other",
        b"multipart/form-data; boundary=b0undary; boundary=x",
        b"multipart/form-data; boundary=b0undary; charset=utf-8",
        b'multipart/form-data; boundary="b0undary',
        b"multipart/form-data; boundary=" + b"b" * 71,
    ],
)
def test_content_types_that_do_not_name_the_boundary_bypass(content_type):
    assert canonicalise(ENDPOINT, GOOD, KeyOptions(), content_type=content_type) == Bypass("multipart")


def test_a_boundary_may_be_quoted():
    made = canonicalise(ENDPOINT, GOOD, KeyOptions(), content_type=b'Multipart/Form-Data;boundary="b0undary"')
    assert made.text == told(*FIELDS).text


@given(st.integers(0, len(GOOD)), st.integers(0, 4), st.binary(max_size=5))
def test_damaged_forms_give_a_form_or_a_word_and_nothing_else(at, cut, put):
    made = canonicalise(ENDPOINT, GOOD[:at] + put + GOOD[at + cut :], KeyOptions(), content_type=typed())
    if isinstance(made, Bypass):
        assert made.detail in {"multipart", "utf8", "field-type"}


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ((FIELDS[0],), "field-type"),
        ((FIELDS[0], ("file", SOUND)), "field-type"),
        ((*FIELDS, FILE), "field-type"),
        ((*FIELDS, FIELDS[0]), "field-type"),
        ((FILE, ("model", b"m", "m.txt")), "field-type"),
        ((*FIELDS, ('\u00e9"', b"")), "multipart"),
    ],
)
def test_forms_that_do_not_fit_bypass(parts, word):
    assert told(*parts).detail == word


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (FIELDS, None),
        ((FILE,), "no-model"),
        ((*FIELDS, ("stream", b"true")), "stream"),
        ((*FIELDS, ("stream", b"1")), "stream"),
        (((*FIELDS, ("stream", b"false"))), None),
        (((*FIELDS, ("response_format", b"srt"))), None),
        (((*FIELDS, ("response_format", b"docx"))), "response-format"),
        ((FILE, ("model", b"policy/p")), "policy-model"),
        (((*FIELDS, ("models[]", b"policy/p"))), "policy-model"),
    ],
)
def test_why_a_form_is_never_cached(parts, word):
    assert told(*parts).call.bypass == word


def test_a_file_that_is_fetched_is_not_the_same_for_long():
    url = b"https://e.com/a.wav"
    assert told(*FIELDS, ("known_speaker_references[]", url)).call.remote_urls
    assert not told(*FIELDS, ("prompt", url)).call.remote_urls


def test_policies_and_the_omitted_model_are_the_operators_word():
    pooled = KeyOptions(policies={"p": "pool", "q": "pin"})
    assert told(FILE, ("model", b"policy/p"), options=pooled).call.bypass is None
    assert told(FILE, ("model", b"policy/q"), options=pooled).call.bypass == "policy-model"
    named = told(FILE, options=KeyOptions(default_model="openai/whisper-1"))
    assert named.text == told(*FIELDS).text


def test_the_key_needs_the_content_type_and_the_boundary_is_not_in_it():
    keyer, scope = Keyer(b"secret"), Scope("acme", "origin")

    def key(boundary, *lines):
        raw = form(*FIELDS, boundary=boundary)
        return keyer.key(Request(ENDPOINT, raw, scope, tuple((b"content-type", line) for line in lines)))

    one, other = key("one", typed("one")), key("another", typed("another"))
    assert isinstance(one, Keyed)
    assert one.key == other.key
    assert one.shape == "bytes"
    assert key("one") == key("one", typed("one"), typed("one")) == Bypass("multipart")


def test_a_file_of_25_mb_is_read_without_copies():
    """Copied or looked at byte by byte it would take seconds."""
    raw = form(FIELDS[0], ("file", b"\r\n--b0undar" * (25 * 2**20 // 11), "a.wav", "audio/wav"))
    began_s = time.perf_counter()
    assert isinstance(canonicalise(ENDPOINT, raw, KeyOptions(), content_type=typed()), Canonical)
    assert time.perf_counter() - began_s < 2


@pytest.mark.parametrize("line", [b"x:%b\x7f", b"Content-Disposition: form-data%b", b"Content-Type:%b\x00"])
def test_blanks_in_a_field_line_take_no_time(line):
    """Expressions that match a run of blanks in three ways take minutes for one form."""
    padded = b"audio/mpeg\r\n" + line % (b" \t" * 1900)
    raw = b"".join([GOOD[: GOOD.index(b"--b0undary", 2)], GOOD.replace(b"audio/mpeg", padded)])
    began_s = time.perf_counter()
    assert canonicalise(ENDPOINT, raw, KeyOptions(), content_type=typed()) == Bypass("multipart")
    assert time.perf_counter() - began_s < 1


def test_every_field_of_the_sdk_is_known():
    """A list is sent under its name with brackets."""
    asked = fields_of(TranscriptionCreateParamsNonStreaming) | fields_of(TranscriptionCreateParamsStreaming)
    assert asked - {name.removesuffix("[]") for name in KNOWN_NAMES} == set()


def test_the_profile_has_a_row():
    intended = plan(PROFILES["balanced"], told(*FIELDS).call)
    assert (intended.store, intended.collapse, intended.rule) == (True, True, "function")


def call(response_format=None):
    fields = FIELDS if response_format is None else (*FIELDS, ("response_format", response_format.encode()))
    return told(*fields).call


@pytest.mark.parametrize("response_format", [None, *sorted(JSON_FORMATS)])
@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"text":"hi"}', None),
        (b'{"text":"","usage":{"type":"duration","seconds":1}}', None),
        (b'{"text":1}', "schema"),
        (b"{}", "schema"),
        (b"hi", "bad-json"),
        (b'{"text":"hi","error":{"message":"no"}}', "error-body"),
    ],
)
def test_only_whole_json_is_kept(response_format, body, word):
    read = read_json(call(response_format), body)
    assert (read.detail if isinstance(read, Refusal) else None) == word


@pytest.mark.parametrize("response_format", sorted(TEXT_FORMATS))
def test_texts_are_kept_as_they_came(response_format):
    body = b"1\n00:00:00,000 --> 00:00:01,000\nhi\n"
    read = read_json(call(response_format), body)
    assert isinstance(read, Answer)
    assert (read.form, read.body) == ("bytes", body)
    assert isinstance(read_json(call(response_format), b'{"error": he said'), Answer)
    assert read_json(call(response_format), b' {"error":{"message":"no"}}') == Refusal("error-body")
    assert read_json(call(response_format), b" \n") == Refusal("empty")
    assert read_json(call(response_format), b"\xff") == Refusal("empty")


def test_the_media_type_is_that_of_the_format_asked_for():
    def refused(media, response_format=None):
        return refuse_head(call(response_format), 200, ((b"content-type", media),))

    assert refused(b"application/json") is None
    assert refused(b"text/plain; charset=utf-8", "srt") is None
    assert refused(b"text/plain") == refused(b"application/json", "text") == Refusal("media-type")


def test_a_caller_who_pays_nothing_reads_no_cost():
    life, usage = Lifetime(1.0), Usage(14, 45)
    body = b'{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"cost":0.5}}'
    read = read_json(call(), body)
    assert read.usage == Usage(14, 45, 0, 500_000_000_000)

    def entry(media):
        return Entry(
            ENDPOINT, "bytes", 200, (), body, True, False, "generic", "", usage, life, 0.0, content_type=media
        )

    assert render(entry(b"application/json"), "bytes").body == body.replace(b"0.5", b"0")
    assert render(entry(b"application/json"), "bytes", free=False).body == body
    assert render(entry(b"text/plain"), "bytes").body == body
    assert render(entry(b"application/json"), "json") is None
