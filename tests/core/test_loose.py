"""Looser keys: what they overlook, what they still keep apart, and that no strict key is ever one of them."""

import itertools
import json
import sys
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.canonical.loose import PLACES, overlooking
from tiered_cache.core.explain import compare, explain
from tiered_cache.core.keys import KEY_VERSION, Keyer, key_text
from tiered_cache.core.profiles import PROFILES
from tiered_cache.core.rules import LOOSER, Gives, Match, Rule, named
from tiered_cache.core.vocabulary import Bypass, Keyed, Request, Scope

CHAT = "chat/completions"
EVERY = LOOSER
SUBSETS = [words for size in range(5) for words in itertools.combinations(LOOSER, size)]


def keyer(*words, memo_bytes=0, **match) -> Keyer:
    rule = Rule(match=Match(**match), gives=Gives(looser=tuple(words)))
    return Keyer(b"s" * 16, rules=named((rule,)), memo_bytes=memo_bytes)


def keyed(keyer: Keyer, body: dict, endpoint=CHAT, tenant="t") -> Keyed | Bypass:
    return keyer.key(request(body, endpoint, tenant))


def request(body: dict, endpoint=CHAT, tenant="t") -> Request:
    return Request(endpoint, json.dumps(body).encode(), Scope(tenant, "o"))


def chat(text="Hi", role="user", **fields) -> dict:
    return {"model": "a/b", "messages": [{"role": role, "content": text}], **fields}


def messages(text="Hi", **fields) -> dict:
    return {"model": "a/b", "max_tokens": 5, "messages": [{"role": "user", "content": text}], **fields}


def responses(text="Hi", **fields) -> dict:
    return {"model": "a/b", "store": False, "input": text, **fields}


PART = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "http://H/A.png"}}
MERGED = [
    ("trim", CHAT, chat(" Hi\t\r\n"), chat("Hi")),
    ("trim", CHAT, chat([PART | {"text": "Hi "}, IMAGE]), chat([PART, IMAGE])),
    ("fold", CHAT, chat("Hi ẞ", "system"), chat("hI ss", "system")),
    ("fold", CHAT, chat("Hi", "developer"), chat("hi", "developer")),
    ("nfc", CHAT, chat("e\u0301"), chat("é")),
    ("trim", "messages", messages(system=" S"), messages(system="S")),
    (
        "fold",
        "messages",
        messages("A", system=[PART | {"text": "S"}]),
        messages("a", system=[PART | {"text": "s"}]),
    ),
    ("nfc", "messages", messages([PART | {"text": "e\u0301"}, PART]), messages([PART | {"text": "é"}, PART])),
    ("trim", "responses", responses(" Hi", instructions="B "), responses("Hi", instructions="B")),
    (
        "fold",
        "responses",
        responses(
            [{"role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}]
        ),
        responses(
            [{"role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}]
        ),
    ),
]


@pytest.mark.parametrize(("word", "endpoint", "one", "other"), MERGED)
def test_what_a_word_overlooks_only_it_overlooks(word, endpoint, one, other):
    for words in SUBSETS:
        made = [keyed(keyer(*words), body, endpoint).key for body in (one, other)]
        assert (made[0] == made[1]) == (word in words), words


CALL = {"id": "call_1", "type": "function", "function": {"name": "F", "arguments": '{"A": " x "}'}}
TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "One"},
    {"role": "tool", "tool_call_id": "call_2", "content": "Two"},
]
TOOL = {
    "type": "function",
    "function": {"name": "F", "description": " D", "parameters": {"properties": {"B": {}, "A": {}}}},
}
WHOLE = {
    "model": "a/b",
    "messages": TURNS,
    "tools": [TOOL],
    "stop": [" S"],
    "user_field": " X ",
    "big": 2**70,
}


def edited(*path, value, body=WHOLE) -> dict:
    copy = deepcopy(body)
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    "other",
    [
        edited("messages", 1, "tool_calls", 0, "function", "arguments", value='{"a": " x "}'),
        edited("messages", 1, "tool_calls", 0, "function", "arguments", value='{"A":" x "}'),
        edited("messages", 1, "tool_calls", 0, "function", "name", value="f"),
        edited("messages", 2, "content", value="one"),
        edited("messages", 2, "content", value="One "),
        edited("messages", 2, "tool_call_id", value="call_2"),
        edited("messages", 0, "role", value="system"),
        edited("messages", 0, "content", value="h i"),
        edited("messages", 0, "content", value="hí"),
        edited("tools", 0, "function", "description", value="D"),
        edited("tools", 0, "function", "parameters", value={"properties": {"A": {}, "B": {}}}),
        edited("stop", 0, value="S"),
        edited("user_field", value="X"),
        edited("big", value=2**70 + 1),
        edited("model", value="A/b"),
        edited("messages", value=TURNS[:3]),
        edited("messages", value=[TURNS[0], TURNS[1], TURNS[3], TURNS[2]]),
        edited("messages", 0, value={"role": "user", "content": "hi", "name": "N"}),
    ],
)
def test_with_every_word_everything_else_is_kept_apart(other):
    """Never tool arguments, schemas, names, results; which call a result belongs to."""
    loose = keyer(*EVERY)
    assert keyed(loose, other).key != keyed(loose, WHOLE).key


def renamed(body: dict, **names) -> dict:
    text = json.dumps(body)
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"@{new}"')
    return json.loads(text.replace('"@', '"'))


BLOCKS = messages()
BLOCKS["messages"] += [
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"id": "call_9"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "R"}, PART]},
]
ITEMS = responses(
    [
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_2", "output": "R"},
    ]
)


@pytest.mark.parametrize(("endpoint", "body"), [(CHAT, WHOLE), ("messages", BLOCKS), ("responses", ITEMS)])
def test_ids_of_tool_calls_are_numbered(endpoint, body):
    loose, strict = keyer("tool-call-ids"), keyer("trim", "nfc", "fold")
    for other in (
        renamed(body, call_1="toolu_x", call_2="y"),
        renamed(body, call_1="call_2", call_2="call_1"),
    ):
        assert keyed(loose, other, endpoint).key == keyed(loose, body, endpoint).key
        assert keyed(strict, other, endpoint).key != keyed(strict, body, endpoint).key
    for other in (renamed(body, call_9="x"), renamed(body, call_2="call_1")):
        if other != body:
            assert keyed(loose, other, endpoint).key != keyed(loose, body, endpoint).key


def test_a_looser_key_is_never_a_strict_one_nor_one_of_other_words():
    """SEMANTICS 1: looser profiles exist only as an operator's opt-in per rule, with a different key version."""
    keys = [keyed(keyer(*words), chat("hi")).key for words in SUBSETS]
    assert len({key[0] for key in keys}) == len({key[17:] for key in keys}) == 16
    assert keys[0] == keyed(Keyer(b"s" * 16), chat("hi")).key
    assert keys[0][0] == KEY_VERSION
    assert key_text(keys[-1]).startswith(f"{KEY_VERSION + 240}-")
    assert keyed(keyer("fold", "trim"), chat("hi")).key == keyed(keyer("trim", "fold"), chat("hi")).key


def test_only_calls_that_the_rule_covers_are_looser():
    loose = keyer("fold", tenants=("t",), models=("a/*",), determinism="unstated")
    strict = Keyer(b"s" * 16)
    assert keyed(loose, chat("A")).key == keyed(loose, chat("a")).key
    for body, tenant in (
        (chat("A", temperature=0), "t"),
        (chat("A") | {"model": "c/d"}, "t"),
        (chat("A"), "u"),
    ):
        assert keyed(loose, body, tenant=tenant) == keyed(strict, body, tenant=tenant)


def test_the_first_rule_that_covers_a_call_says_how_it_is_keyed():
    rules = (
        Rule(match=Match(content=("chat",)), gives=Gives(fresh_s=1.0)),
        Rule(match=Match(tools=True), gives=Gives(fresh_s=1.0)),
        Rule(gives=Gives(looser=("fold",))),
    )
    both = Keyer(b"s" * 16, rules=named(rules))
    assert keyed(both, chat("A")).key == keyed(both, chat("a")).key
    assert keyed(both, chat("A", tools=[TOOL])).key != keyed(both, chat("a", tools=[TOOL])).key


def test_calls_without_messages_stay_strict():
    loose, strict = keyer(*EVERY), Keyer(b"s" * 16)
    body = {"model": "a/b", "input": ["A ", "a"]}
    assert keyed(loose, body, "embeddings") == keyed(strict, body, "embeddings")


def test_a_remembered_body_has_the_same_key():
    loose = keyer(*EVERY, memo_bytes=2**20)
    assert len({keyed(loose, WHOLE).key for _ in range(4)}) == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": " X"}]}],
    ],
)
def test_messages_without_texts_are_as_they_were(messages):
    body = {"model": "a/b", "messages": messages}
    strict = Keyer(b"s" * 16).form(request(body))
    if isinstance(strict, Bypass):
        assert keyer(*EVERY).form(request(body)) == strict
    else:
        assert keyer(*EVERY).form(request(body)).text == strict.text


def test_explain_says_what_is_overlooked():
    loose = keyer("trim", "fold")
    told = explain(loose, PROFILES["balanced"], request(chat(" HI ")))
    assert told.looser == ("trim", "fold")
    assert json.loads(told.canonical)["messages"] == [{"role": "user", "content": "hi"}]
    assert told.key == key_text(keyed(loose, chat("hi")).key)
    assert compare(loose, request(chat(" HI ")), request(chat("hi"))).same
    assert explain(Keyer(b"s" * 16), PROFILES["balanced"], request(chat(" HI "))).looser == ()


texts = st.text()


@given(texts, st.sampled_from(SUBSETS))
def test_overlooking_twice_changes_nothing(text, words):
    once = overlooking(text, words)
    assert overlooking(once, words) == once


@pytest.mark.parametrize("words", [("nfc",), ("fold",), ("nfc", "fold")])
def test_every_letter_is_overlooked_once(words):
    once = {overlooking(chr(point), words) for point in range(sys.maxunicode + 1)}
    assert {overlooking(text, words) for text in once} == once


@given(texts, st.sampled_from([words for words in SUBSETS if "trim" not in words]))
def test_only_space_at_the_ends_letters_and_composition_are_overlooked(text, words):
    found = overlooking(text, words)
    assert found.casefold() == text.casefold() or "nfc" in words
    assert (found == text) or "fold" in words or "nfc" in words


@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), min_size=1),
    st.sampled_from(SUBSETS),
)
def test_calls_are_equal_exactly_when_their_texts_are_as_overlooked(said, words):
    loose = keyer(*words)
    made = {"model": "a/b", "messages": [{"role": role, "content": text} for role, text in said]}
    seen = {
        "model": "a/b",
        "messages": [{"role": role, "content": overlooking(text, words)} for role, text in said],
    }
    assert keyed(loose, made).key == keyed(loose, seen).key
    assert json.loads(loose.form(request(made)).text) == seen


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.permutations(["a", "b", "c", "d"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
def test_numbered_ids_are_equal_exactly_up_to_renaming(one, names, other):
    loose = keyer("tool-call-ids")

    def body(ids):
        return {
            "model": "a/b",
            "messages": [{"role": "tool", "tool_call_id": each, "content": "r"} for each in ids],
        }

    renamed = [names[each] for each in one]
    assert keyed(loose, body(list(map(str, one)))).key == keyed(loose, body(renamed)).key
    firsts = [[ids.index(each) for each in ids] for ids in (one, other)]
    same = keyed(loose, body(list(map(str, one)))).key == keyed(loose, body(list(map(str, other)))).key
    assert same == (firsts[0] == firsts[1])


@pytest.mark.parametrize(("endpoint", "body"), [(CHAT, WHOLE), ("messages", BLOCKS), ("responses", ITEMS)])
def test_where_there_is_nothing_to_overlook_the_text_is_the_strict_one(endpoint, body):
    """Members in order, large integers, arguments and inputs byte for byte."""
    strict = Keyer(b"s" * 16).form(request(body, endpoint))
    assert keyer("trim", "nfc").form(request(body, endpoint)).text == strict.text
    assert set(PLACES) == {CHAT, "messages", "responses"}
