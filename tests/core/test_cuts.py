"""What is kept with an entry for its rendering makes that rendering, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.test_codec import ENTRY, KEY
from tiered_cache.core.answers import render, with_cut
from tiered_cache.core.codec import seal, unseal
from tiered_cache.core.validators import make_etag
from tiered_cache.core.vocabulary import Rendering

CHAT = b'{"id":"1","choices":[{"text":"Hi","cost":1}],"usage":{"prompt_tokens":1,"cost":0.0025},"cost":7}'
STREAM = (
    b'data: {"id":"1","choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'
    b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":1,"cost":0.0025}}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize(
    ("form", "body", "shape"),
    [
        ("json", CHAT, "json"),
        ("json", b'{"choices":[]}', "json"),
        ("sse", STREAM, "sse"),
        ("sse", STREAM, "sse+usage"),
    ],
)
def test_a_prepared_entry_renders_as_it_did_and_reads_nothing(form, body, shape, monkeypatch):
    entry = replace(ENTRY, form=form, body=body)
    rendering = render(entry, shape)
    (cut,) = with_cut(entry, shape, rendering).cuts
    read = unseal(KEY, seal(KEY, with_cut(entry, shape, rendering)).payload).entry
    monkeypatch.setattr("tiered_cache.core.answers.DIALECTS", {})

    assert render(read, shape) == rendering
    assert cut.etag == make_etag(rendering.body)
    assert len(cut.new) < 20


def test_only_who_pays_nothing_gets_it():
    entry = replace(ENTRY, body=CHAT)
    kept = with_cut(entry, "json", render(entry, "json"))
    assert b"0.0025" in render(kept, "json", free=False).body
    assert b"0.0025" not in render(kept, "json").body


def test_what_differs_much_or_is_another_form_is_not_kept():
    other = Rendering(bytes(range(256)) * 4, b"application/json", b'"x"')
    assert with_cut(ENTRY, "json", other) is ENTRY
    assert with_cut(ENTRY, "sse", other) is ENTRY
    assert with_cut(ENTRY, "json", Rendering(ENTRY.body, b"application/json", b"")) is ENTRY


def test_the_same_body_is_not_copied():
    kept = with_cut(ENTRY, "json", Rendering(ENTRY.body, b"application/json", b'"x"'))
    assert kept.cuts[0].of(kept.body) is ENTRY.body


letters = st.lists(st.sampled_from([b"a", b"b", b"ab"]), max_size=30).map(b"".join)


@given(letters, letters)
def test_any_two_bodies_are_turned_into_each_other(old, new):
    entry = replace(ENTRY, body=old)
    kept = with_cut(entry, "json", Rendering(new, b"application/json", b'"x"'))
    assert kept.cuts[0].of(kept.body) == new
