"""The generated traffic: seeded, as repetitive as it says, and its noise changes no call's meaning."""

import json
import random
from itertools import islice

import openai
import pytest

from tiered_cache.core.canonical import KeyOptions, canonicalise
from tiered_cache.core.vocabulary import Bypass
from tiered_cache.simulation.answers import expect
from tiered_cache.simulation.meaning import is_sampled, meaning
from tiered_cache.simulation.popularity import GAP_LAW, REPEAT_SHARE, arrivals, gap_s
from tiered_cache.simulation.spelling import SPELLINGS, respell, vary
from tiered_cache.simulation.traces import Row
from tiered_cache.simulation.workload import Mix, planned_calls, trace_calls

RICH = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "où & <b> 😕 \u2028 \\u0041"}],
    "temperature": 0.0,
    "top_p": 1.0,
    "presence_penalty": 0.25,
    "stop": "END",
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"properties": {"z": {"minimum": 1.0}, "a": {}}}},
        }
    ],
}


MIX = Mix()


def some(count, seed=0, mix=MIX):
    return list(islice(planned_calls(mix, seed), count))


def canonical(raw):
    found = canonicalise("chat/completions", raw, KeyOptions())
    assert not isinstance(found, Bypass), found
    return found.text


def compact(body):
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_same_seed_gives_the_same_calls_and_another_seed_others():
    assert some(50) == some(50)
    assert some(50) != some(50, seed=1)


@pytest.mark.parametrize("sdk", SPELLINGS)
def test_a_spelling_keeps_the_key(sdk):
    raw = compact(RICH)
    assert canonical(respell(raw, sdk)) == canonical(raw)


def test_the_spellings_differ_in_their_bytes():
    assert len({respell(compact(RICH), sdk) for sdk in SPELLINGS}) == len(SPELLINGS)


def test_variations_keep_the_key_and_are_many():
    randomness = random.Random(1)
    bodies = [vary(RICH, randomness) for _ in range(200)]
    assert {canonical(compact(body)) for body in bodies} == {canonical(compact(RICH))}
    assert len({compact(body) for body in bodies}) > 50


def test_a_variation_leaves_the_original_alone():
    before = json.dumps(RICH)
    for seed in range(50):
        vary(RICH, random.Random(seed))
    assert json.dumps(RICH) == before


def test_calls_that_mean_the_same_have_one_key_and_others_another():
    keys = {}
    for call in some(600):
        raw = respell(compact(call.body), call.sdk)
        keys.setdefault(meaning(call.body), set()).add(canonical(raw))
    assert all(len(found) == 1 for found in keys.values())
    assert len({text for found in keys.values() for text in found}) == len(keys)


def test_a_repeat_is_an_earlier_call_of_the_same_tenant_and_a_new_call_is_new():
    seen = set()
    for call in some(1000):
        name = (call.tenant, meaning(call.body))
        assert (name in seen) == call.repeat
        assert call.reusable == (call.repeat and not is_sampled(call.body))
        seen.add(name)


def test_about_as_many_calls_repeat_as_the_mix_says():
    calls = some(4000)
    assert sum(call.repeat for call in calls) / len(calls) == pytest.approx(REPEAT_SHARE, abs=0.03)
    assert not any(call.repeat for call in some(200, mix=Mix(repeat_share=0.0)))


def test_the_mix_decides_each_share():
    calls = some(2000, mix=Mix(unstated=0.0, sampled=0.0, tools=0.0, streams=0.0, tenants=1))
    assert {call.body["temperature"] for call in calls} == {0}
    assert not any("tools" in call.body or "stream" in call.body or call.tenant for call in calls)
    calls = some(2000)
    for held, share in (
        (lambda call: "temperature" not in call.body, 0.2),
        (lambda call: call.body.get("temperature") == 0.7, 0.1),
        (lambda call: "stream" in call.body, 0.5),
        (lambda call: "stream_options" in call.body, 0.25),
        (lambda call: call.tenant == 0, 0.5),
    ):
        assert sum(map(held, calls)) / len(calls) == pytest.approx(share, abs=0.1)


def test_some_calls_are_asked_much_more_often_than_most():
    numbers = [arrival.number for arrival in islice(arrivals(20.0, 0.5, random.Random(0)), 5000)]
    counts = sorted((numbers.count(number) for number in set(numbers)), reverse=True)
    assert counts[0] >= 10 * counts[len(counts) // 2]


def test_arrivals_are_as_fast_as_asked_and_never_run_backwards():
    times = [arrival.at_s for arrival in islice(arrivals(20.0, 0.5, random.Random(0)), 4000)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(200, rel=0.1)


def test_the_gap_law_is_met_at_its_points_and_grows_between_them():
    for seconds, share in GAP_LAW:
        assert gap_s(share) == pytest.approx(seconds)
    gaps = [gap_s(part / 500) for part in range(501)]
    assert gaps == sorted(gaps)
    assert gaps[0] == 0.0


def test_the_sdk_takes_every_call():
    accepted = set(openai.types.chat.completion_create_params.CompletionCreateParamsBase.__annotations__)
    assert {name for call in some(300) for name in call.body} <= accepted | {"stream"}


def test_a_trace_becomes_calls_at_its_own_times_with_its_own_sizes():
    rows = [Row(0, 7, 300, 40), Row(1500, 8, 0, 0), Row(2000, 7, 300, 99), Row(2500, 7, 300, 40, "other")]
    calls = list(trace_calls(rows, Mix(), seed=0))
    assert [call.at_s for call in calls] == [0.0, 1.5, 2.0, 2.5]
    assert [call.repeat for call in calls] == [False, False, True, False]
    assert [call.tenant for call in calls] == [0, 0, 0, 1]
    assert meaning(calls[0].body) == meaning(calls[2].body) != meaning(calls[1].body)
    first = expect(calls[0].body)
    assert first.prompt_tokens == pytest.approx(300, rel=0.2)
    assert 40 <= first.completion_tokens <= 60
