"""The simulation's own reading of a call agrees with the keyer wherever a difference would be a false alarm."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.strategies import chat_bodies, edited, raw_spellings, rewritten
from tiered_cache.simulation.meaning import is_sampled, meaning


@st.composite
def two_spellings(draw):
    body = draw(chat_bodies)
    return draw(raw_spellings(body)), draw(raw_spellings(draw(rewritten(body))))


@settings(max_examples=20)  # drawing a spelling letter by letter is slow
@given(two_spellings())
def test_spellings_of_one_call_mean_the_same(pair):
    one, other = pair
    assert meaning(json.loads(one)) == meaning(json.loads(other))


@given(st.data())
def test_an_edit_changes_the_meaning(data):
    body = data.draw(chat_bodies)
    what, other = data.draw(edited(body))
    assert meaning(body) != meaning(other), what


def test_true_is_not_one():
    assert meaning({"messages": [], "n": True}) != meaning({"messages": [], "n": 1})
    assert meaning({"messages": [], "logprobs": 0}) != meaning({"messages": [], "logprobs": False})


def test_order_inside_properties_matters_and_elsewhere_it_does_not():
    def schema(*names):
        properties = {name: {"type": "string", "title": name} for name in names}
        tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}
        return meaning({"messages": [], "tools": [tool]})

    assert schema("a", "b") != schema("b", "a")
    assert meaning({"a": {"x": 1, "y": 2}}) == meaning({"a": {"y": 2, "x": 1}})


def test_an_integer_and_a_float_differ_inside_a_schema_only():
    def least(value):
        return meaning({"tools": [{"function": {"parameters": {"minimum": value}}}]})

    assert least(1) != least(1.0)
    assert meaning({"temperature": 1}) == meaning({"temperature": 1.0})
    assert meaning({"seed": 2**53 + 2}) != meaning({"seed": float(2**53 + 2)})


def test_a_default_counts_for_the_providers_that_state_it():
    def said(model, **fields):
        return meaning({"model": model, "messages": [], **fields})

    assert said("openai/x", presence_penalty=0.0) == said("openai/x")
    assert said("alibaba/x", presence_penalty=0) != said("alibaba/x")
    assert said("openai/x", models=["a"], presence_penalty=0) != said("openai/x", models=["a"])
    assert said("x", parallel_tool_calls=True, tools=[{}]) != said("x", tools=[{}])
    assert said("azure/x", parallel_tool_calls=True, tools=[{}]) == said("azure/x", tools=[{}])
    assert said("azure/x", parallel_tool_calls=True) != said("azure/x")


def test_which_calls_are_sampled():
    assert not is_sampled({})
    assert not is_sampled({"temperature": 0.0, "n": 3})
    assert not is_sampled({"temperature": 0.7, "seed": 0})
    assert not is_sampled({"temperature": 0.7, "top_k": 1})
    assert is_sampled({"temperature": 0.7})
    assert is_sampled({"n": 2})
    assert not is_sampled({"n": 1, "temperature": None})
