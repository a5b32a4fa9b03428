"""Speech: which bodies ask for the same recording, and which answers are kept."""

import json
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import SpeechCreateParams

from tests.core.sdk_fields import fields_of
from tiered_cache.core.answers import (
    error_event,
    idle,
    is_live,
    read_json,
    read_stream,
    refuse_head,
    render,
    usage_of,
)
from tiered_cache.core.canonical import Canonical, KeyOptions, canonicalise
from tiered_cache.core.canonical.speech import EVENT_FORMATS, FIELDS
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.sse import Event
from tiered_cache.core.vocabulary import Answer, Bypass, Entry, Lifetime, Refusal, Usage
from tiered_cache.errors import OriginCutError

SPEECH = "audio/speech"
BODY = {"model": "openai/tts-1", "voice": "alloy", "input": "Hello"}
MP3 = bytes(range(256)) * 3 + b"\r\n\r\ndata: not an event\n\n"


def say(**fields) -> Canonical | Bypass:
    said = {name: value for name, value in {**BODY, **fields}.items() if value is not ...}
    return canonicalise(SPEECH, json.dumps(said).encode(), KeyOptions())


def pieces(*raws: bytes) -> list[Event]:
    return [Event(raw, None, b"") for raw in raws]


def head(*values: bytes) -> tuple:
    return tuple((b"content-type", value) for value in values)


def test_calls_that_differ_differ():
    """No default is left out: 1.0 said is not 1.0 unsaid."""
    forms = [
        say(),
        say(input="hello"),
        say(input="Hello "),
        say(voice="Alloy"),
        say(voice={"id": "alloy"}),
        say(voice=None),
        say(speed=1.0),
        say(speed=1.5),
        say(response_format="mp3"),
        say(response_format="wav"),
        say(response_format=None),
        say(instructions=""),
        say(instructions="slowly"),
        say(stream_format="audio"),
        say(user="u"),
        say(model="openai/tts-1-hd"),
        say(models=["openai/tts-1"]),
        say(new={"b": 1}),
    ]
    assert len({form.text for form in forms}) == len(forms)


def test_what_cannot_change_the_recording_is_left_out():
    assert say(requesty={"trace_id": "t", "auto_cache": True}).text == say().text
    assert say(requesty={"new": 1}).text != say().text


def test_an_error_under_the_media_type_of_a_recording_is_not_kept():
    error = b'\n{"error":{"message":"no"}}'
    assert read_stream(say().call, pieces(error[:9], error[9:])) == Refusal("error-body")
    assert isinstance(read_stream(say().call, pieces(error[:9])), Answer)
    assert isinstance(read_stream(say().call, pieces(b'{"', MP3)), Answer)


def test_a_voice_that_is_fetched_is_not_the_same_for_long():
    assert say(reference_audio="https://e.com/a.wav").call.remote_urls
    assert say(voice={"samples": ["https://e.com/a.wav"]}).call.remote_urls
    assert not say(input="https://e.com/a.wav", instructions="https://e.com").call.remote_urls


STATED = st.fixed_dictionaries(
    {},
    optional={
        "instructions": st.text(max_size=5),
        "response_format": st.sampled_from(["mp3", "opus", "wav", "pcm"]),
        "speed": st.floats(0.25, 4) | st.integers(1, 4),
        "voice": st.text(max_size=5) | st.fixed_dictionaries({"id": st.text(max_size=5)}),
        "x": st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), st.lists, max_leaves=4
        ),
    },
)


@given(STATED, st.randoms(use_true_random=False))
def test_another_spelling_is_the_same_call(fields, random):
    said = {**BODY, **fields}
    names = list(said)
    random.shuffle(names)
    spelled = {name: said[name] for name in names}
    if isinstance(spelled.get("speed"), int):
        spelled["speed"] = float(spelled["speed"])
    raw = json.dumps(spelled, indent=random.randrange(3), ensure_ascii=random.random() < 0.5).encode()
    form = canonicalise(SPEECH, raw, KeyOptions())
    assert form.text == say(**fields).text
    assert canonicalise(SPEECH, form.text, KeyOptions()).text == form.text


@given(
    STATED, st.sampled_from([field.name for field in FIELDS if field.name != "requesty"]), st.text(max_size=3)
)
def test_any_one_edit_is_another_call(fields, name, tail):
    """Each field: taken away, or with another text; `requesty` says nothing here."""
    before = {**BODY, **fields}
    old = before.get(name, ...)
    new = "edited " + tail if not isinstance(old, str) else old + "." + tail
    edited = (
        [new] if name == "models" else {"id": new} if name == "voice" else 3.5 if name == "speed" else new
    )
    after = say(**{**fields, name: edited})
    if edited != old:
        assert after.text != say(**fields).text


@pytest.mark.parametrize(
    "form",
    [
        say(input=...),
        say(input=None),
        say(input=["a"]),
        say(speed="1"),
        say(voice=1),
        say(model=1),
        say(models=[1]),
    ],
)
def test_wrong_types_bypass(form):
    assert form == Bypass("field-type", form.model)


def test_a_call_for_events_is_forwarded():
    assert say(stream_format="sse").call.bypass == "stream"
    assert say(stream_format="audio").call.bypass is None
    assert say(model=...).call.bypass == "no-model"
    events = get_args(get_type_hints(SpeechCreateParams)["stream_format"])
    assert set(events) - EVENT_FORMATS == {"audio"}, "what does this format answer with?"


def test_every_field_of_the_sdk_is_in_the_table():
    known = {field.name for field in FIELDS}
    assert fields_of(SpeechCreateParams) - known == set()


def test_the_facts_of_a_call():
    call = say().call
    assert call.shape == "bytes"
    intended = plan(PROFILES["balanced"], call)
    assert (intended.store, intended.collapse, intended.rule) == (True, True, "function")


@pytest.mark.parametrize(
    ("media", "kept"),
    [
        (b"audio/mpeg", True),
        (b"Audio/WAV; rate=24000", True),
        (b"application/octet-stream", True),
        (b"application/json", False),
        (b"text/event-stream", False),
        (b"text/html", False),
        (b"", False),
    ],
)
def test_only_what_is_played_is_kept(media, kept):
    """An error told as JSON with status 200 is no recording."""
    call = say().call
    assert (refuse_head(call, 200, head(media)) is None) is kept
    assert is_live(call, 200, media) is kept


def test_heads_that_say_two_things_or_nothing_are_refused():
    call = say().call
    assert refuse_head(call, 200, ()) == Refusal("media-type")
    assert refuse_head(call, 200, head(b"audio/mpeg", b"application/json")) == Refusal("media-type")
    assert refuse_head(call, 500, head(b"audio/mpeg")) == Refusal("status")
    assert not is_live(call, 500, b"audio/mpeg")


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_a_recording_is_kept_byte_for_byte(raws):
    read = read_stream(say().call, pieces(*raws))
    if not any(raws):
        assert read == Refusal("empty")
        return
    assert isinstance(read, Answer)
    assert (read.form, read.body, read.usage) == ("bytes", b"".join(raws), Usage())
    assert read.usage.cost_picousd is None  # unpriced, never 0
    assert not read.short_lived


def test_nobody_knows_which_of_several_models_spoke():
    assert read_stream(say(models=["a", "b"]).call, pieces(MP3)).short_lived
    assert read_json(say().call, b"{}") == Refusal("media-type")


def entry(form="bytes") -> Entry:
    life = Lifetime(1.0)
    return Entry(
        SPEECH, form, 200, (), MP3, True, False, "generic", "", Usage(), life, 0.0, content_type=b"audio/mpeg"
    )


def test_a_rendering_has_the_media_type_that_was_stored():
    made = render(entry(), "bytes")
    assert (made.body, made.content_type) == (MP3, b"audio/mpeg")
    assert made.etag.startswith(b'"')
    assert render(entry(), "json") is None
    assert render(entry("json"), "bytes") is None


def test_nothing_is_put_into_a_recording():
    assert idle(SPEECH) == b""
    with pytest.raises(OriginCutError):
        error_event(SPEECH, "broke off", "origin_cut")


def test_events_say_what_they_cost_where_they_are_forwarded():
    told = b'{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}'
    assert usage_of(SPEECH, told) == Usage(14, 101)
    assert usage_of(SPEECH) == usage_of(SPEECH, MP3) == Usage()
