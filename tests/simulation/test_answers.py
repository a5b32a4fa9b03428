"""What the simulated Requesty answers, and what it costs."""

import json

import pytest

from tiered_cache.errors import ConfigError
from tiered_cache.simulation.answers import expect, expected_cost_picousd, expected_text, is_answer_to
from tiered_cache.simulation.behaviour import Behaviour, Script, Settings, read_script
from tiered_cache.simulation.prices import PRICES, price_of

BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"properties": {"q": {"type": "string"}, "n": {"type": "integer"}}},
    },
}


def test_an_answer_belongs_to_one_call_alone():
    other = {**BODY, "messages": [{"role": "user", "content": "Hello"}]}
    assert is_answer_to(expected_text(BODY), {**BODY, "user": "somebody"})
    assert not is_answer_to(expected_text(BODY), other)
    assert not is_answer_to("", BODY)


def test_only_a_sampled_call_may_have_several_answers():
    sampled = {**BODY, "temperature": 0.7}
    one, two = expect(sampled, 1).text, expect(sampled, 2).text
    assert one != two
    assert is_answer_to(one, sampled)
    assert is_answer_to(two, sampled)
    assert not is_answer_to(expect(BODY, 1).text, BODY)


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_json_that_was_asked_for_parses(kind):
    body = {**BODY, "response_format": {"type": kind}}
    assert json.loads(expected_text(body))["answer"].startswith("[")
    sampled = {**body, "temperature": 1}
    assert json.loads(expect(sampled, 3).text)["sample"] == 3
    assert is_answer_to(expect(sampled, 3).text, sampled)


def test_the_pieces_make_the_text():
    for body in (BODY, {**BODY, "max_tokens": 5}, {**BODY, "response_format": {"type": "json_object"}}):
        answer = expect(body)
        assert "".join(answer.pieces) == answer.text


def test_a_limit_cuts_the_text_and_says_so():
    answer = expect({**BODY, "max_tokens": 100, "max_completion_tokens": 3})
    assert (answer.completion_tokens, answer.finish_reason) == (3, "length")
    assert expect({**BODY, "max_tokens": 0}).text == ""
    assert expect(BODY).finish_reason == "stop"


def test_a_tool_is_called_unless_forbidden_or_just_answered():
    answer = expect({**BODY, "tools": [TOOL]})
    assert answer.finish_reason == "tool_calls"
    assert set(json.loads(answer.tool_calls[0].arguments)) == {"q", "n"}
    assert "".join(answer.pieces) == answer.tool_calls[0].arguments
    assert expect({**BODY, "tools": [TOOL], "tool_choice": "none"}).text
    replied = [*BODY["messages"], {"role": "tool", "tool_call_id": "c", "content": "3"}]
    assert expect({**BODY, "tools": [TOOL], "messages": replied}).text


def test_the_named_tool_is_called():
    other = {"type": "function", "function": {"name": "g"}}
    choice = {"type": "function", "function": {"name": "g"}}
    assert expect({**BODY, "tools": [TOOL, other], "tool_choice": choice}).tool_calls[0].name == "g"


def test_an_answer_has_about_the_asked_length():
    asked = {**BODY, "messages": [{"role": "user", "content": "Say it in about 200 words."}]}
    assert 200 <= len(expected_text(asked).split(" ")) <= 202


def test_the_cost_is_exact_and_follows_the_price_row():
    row = price_of("openai/gpt-4o-2024-11-20")
    assert row.cost_picousd(1000, 200, 10) == 800 * 2_500_000 + 200 * 1_250_000 + 10 * 10_000_000
    assert price_of("openai/gpt-4o-mini@eu-central-1") is PRICES["openai/gpt-4o-mini"]
    assert price_of("nobody/nothing") is None
    answer = expect(BODY)
    assert expected_cost_picousd(BODY) == answer.prompt_tokens * 150_000 + answer.completion_tokens * 600_000


def test_the_prompt_cache_needs_1024_tokens_the_same_account_and_the_same_model():
    behaviour = Behaviour(Settings())
    long, short = b"x" * 5000, b"y" * 4000
    assert behaviour.cached_tokens(b"a", "m", long) == 0
    assert behaviour.cached_tokens(b"a", "m", long) == 5000 // 512 * 128
    assert behaviour.cached_tokens(b"a", "m", long[:4608] + b"other" * 300) == 4608 // 4
    assert behaviour.cached_tokens(b"b", "m", long) == 0
    assert behaviour.cached_tokens(b"a", "n", long) == 0
    assert [behaviour.cached_tokens(b"a", "m", short) for _ in range(2)] == [0, 0]


def test_about_as_many_calls_fail_as_the_settings_say():
    def failed(rate):
        behaviour = Behaviour(Settings(error_rate=rate))
        return [behaviour.failure(Script()) for _ in range(1000)]

    assert not any(failed(0.0))
    assert all(failed(1.0))
    assert sum(found is not None for found in failed(0.1)) == pytest.approx(100, abs=40)
    assert {found.status for found in failed(1.0)} == {429, 502, 503, 529}


def test_a_script_is_read_and_a_wrong_one_named():
    assert read_script(b"") == Script()
    assert read_script(b"status=503, retry-after=0") == Script(status=503, retry_after=0)
    assert read_script(b"first-token-s=0.5") == Script(first_token_s=0.5)
    for wrong in (b"nothing=1", b"status=abc", b"status"):
        with pytest.raises(ConfigError, match="x-simulate"):
            read_script(wrong)
