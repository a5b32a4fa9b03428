"""An operator's rules: the first that covers a call decides, the rest is the row's, and no ceiling is lifted."""

from typing import get_args

import pytest
from msgspec.structs import fields, replace

from tests.core.test_policy import (
    CERTAIN,
    DATED,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SAMPLED,
    TOOLS,
    UNSTATED,
    answered,
    chat,
)
from tiered_cache.core.lasting import lasting_of
from tiered_cache.core.policy import Plan, lifetime, plan
from tiered_cache.core.profiles import PROFILES, unbounded
from tiered_cache.core.rules import BEFORE_THE_ANSWER, Gives, Kind, Match, Rule, named
from tiered_cache.core.vocabulary import PLAIN, Ask, CacheKey, ContentClass, Determinism, Keyed, Lifetime

BALANCED = PROFILES["balanced"]


def ruled(*rules: Rule, profile=BALANCED):
    return replace(profile, rules=named(rules))


def rule(name="r", gives=None, **match) -> Rule:
    return Rule(name=name, match=Match(**match), gives=Gives(fresh_s=5.0) if gives is None else gives)


def lasts(profile, call=CERTAIN, answer=None, ask=PLAIN, **where) -> Lifetime:
    return lifetime(profile, call, answered() if answer is None else answer, ask, **where)


@pytest.mark.parametrize(
    ("match", "covered", "left"),
    [
        ({"endpoints": ("messages", "responses")}, chat(endpoint="responses"), chat()),
        ({"models": ("openai/*",)}, chat(), chat(model="azure/openai/gpt-4o")),
        ({"models": ("openai/gpt-4?",)}, chat(), chat(model="openai/gpt-4")),
        ({"models": ("a", "*4o")}, chat(), chat(model=DATED)),
        ({"models": ("OpenAI/*",)}, chat(model="OpenAI/x"), chat()),
        ({"determinism": "unstated"}, UNSTATED, CERTAIN),
        ({"determinism": "deterministic"}, CERTAIN, UNSTATED),
        ({"determinism": "sampled"}, SAMPLED, UNSTATED),
        ({"tools": True}, chat(tools=True), chat()),
        ({"tools": False}, chat(), chat(tools=True)),
    ],
)
def test_a_rule_covers_what_its_match_says_and_nothing_else(match, covered, left):
    profile = ruled(rule(**match))
    assert plan(profile, covered).rule == "r"
    assert lasts(profile, covered).fresh_s == 5.0
    assert plan(profile, left) == plan(BALANCED, left)
    assert lasts(profile, left) == lasts(BALANCED, left)


def test_all_that_is_given_must_hold():
    profile = ruled(rule(models=("openai/*",), tenants=("acme",), determinism="unstated"))
    assert plan(profile, UNSTATED, "acme").rule == "r"
    assert plan(profile, UNSTATED, "other").rule == "unstated"
    assert plan(profile, CERTAIN, "acme").rule == "deterministic-alias"
    assert plan(profile, UNSTATED).rule == "unstated"


def test_the_first_match_wins_and_no_other_rule_is_asked():
    profile = ruled(
        rule("none", Gives(), tenants=("acme",)),
        rule("one", Gives(fresh_s=1.0), models=("openai/*",)),
        rule("two", Gives(fresh_s=2.0, stale_if_error_s=2.0)),
    )
    assert lasts(profile, tenant="acme") == replace(lasts(BALANCED), rule="none")
    assert lasts(profile) == Lifetime(1.0, 0.0, DAY, "one")
    assert lasts(profile, chat(Determinism.DETERMINISTIC, "x/y")) == Lifetime(2.0, 0.0, 2.0, "two")


def test_a_rule_without_a_name_is_called_by_its_place():
    assert [each.name for each in named((Rule(), Rule(name="b"), Rule()))] == ["rules[0]", "b", "rules[2]"]


def test_what_a_rule_does_not_give_is_the_rows():
    profile = ruled(rule(gives=Gives(stale_while_revalidate_s=7.0)))
    assert lasts(profile) == Lifetime(DAY, 7.0, DAY, "r")
    assert lasts(profile, UNSTATED) == Lifetime(10 * MINUTE, 7.0, HOUR, "r")
    assert lasts(profile, SAMPLED) == Lifetime(0.0, rule="r")
    assert plan(profile, UNSTATED) == Plan(True, True, "r", "unstated", Gives(stale_while_revalidate_s=7.0))


@pytest.mark.parametrize(
    "gives", [Gives(store=False), Gives(fresh_s=0.0), Gives(max_fresh_s=0.0), Gives(store=False, fresh_s=9.0)]
)
def test_zero_and_store_false_keep_a_call_out_of_the_cache(gives):
    profile = ruled(rule(gives=gives))
    assert plan(profile, CERTAIN) == Plan(False, False, "r", "rule", gives)
    assert lasts(profile, ask=Ask(ttl_s=5.0)) == Lifetime(0.0, rule="r")
    assert plan(profile, SAMPLED).detail == ("rule" if gives.max_fresh_s is None else "sampled")


def test_a_rule_may_have_samples_stored_and_shared():
    kept = ruled(rule(gives=Gives(fresh_s=HOUR)))
    assert plan(kept, SAMPLED) == Plan(True, False, "r", "sampled", Gives(fresh_s=HOUR))
    assert lasts(kept, SAMPLED) == Lifetime(HOUR, 0.0, 0.0, "r")
    shared = ruled(rule(gives=Gives(fresh_s=HOUR, collapse=True)))
    assert plan(shared, SAMPLED).collapse
    assert not plan(ruled(rule(gives=Gives(collapse=True))), SAMPLED).collapse, (
        "collapse follows cacheability"
    )
    assert not plan(ruled(rule(gives=Gives(collapse=False))), CERTAIN).collapse


def test_a_route_that_no_row_knows_is_the_rules():
    call = chat(Determinism.DETERMINISTIC, endpoint="images/edits")
    assert plan(ruled(rule()), call) == Plan(True, False, "r", None, Gives(fresh_s=5.0))
    assert plan(ruled(rule(gives=Gives(collapse=True))), call).detail == "policy"


def test_max_fresh_bounds_the_rule_and_gives_callers_room():
    """SEMANTICS 3: `x-tiered-cache-ttl` only shortens below `max_fresh`."""
    profile = ruled(rule(gives=Gives(fresh_s=10.0, max_fresh_s=100.0)))
    assert [lasts(profile, ask=Ask(ttl_s=ttl_s)).fresh_s for ttl_s in (None, 0, 5, 50, 500)] == [
        10,
        0,
        5,
        50,
        100,
    ]
    assert lasts(ruled(rule(gives=Gives(max_fresh_s=60.0)))).fresh_s == 60
    assert lasts(ruled(rule()), ask=Ask(ttl_s=50.0)).fresh_s == 5


KEYS = [CacheKey(bytes(41) + number.to_bytes(8, "big")) for number in (0, 2**63, 2**64 - 1)]


def test_jitter_cuts_a_part_that_the_key_tells():
    profile = ruled(rule(gives=Gives(fresh_s=100.0, jitter=0.2)))
    assert [round(lasts(profile, key=key).fresh_s, 6) for key in KEYS] == [100.0, 90.0, 80.0]
    whole = ruled(rule(gives=Gives(fresh_s=100.0, max_fresh_s=1000.0, jitter=1.0)))
    assert lasts(whole, key=KEYS[2]).fresh_s == pytest.approx(0.0, abs=1e-9)
    assert lasts(whole, key=KEYS[2], ask=Ask(ttl_s=500.0)).fresh_s == 500


def test_a_rule_about_answers_decides_when_there_is_one():
    profile = ruled(
        rule("calls", Gives(fresh_s=30.0), content=("tool-call",)),
        rule("audio", Gives(fresh_s=40.0), media_types=("audio/*",)),
        rule("rest", Gives(fresh_s=50.0)),
    )
    assert plan(profile, CERTAIN).rule == "rest"
    assert lasts(profile).rule == "rest"
    assert lasts(profile, answer=TOOLS).rule == "calls"
    assert lasts(profile, answer=answered(media_type="audio/mpeg")).rule == "audio"


def test_a_rule_about_answers_never_lets_a_call_be_stored():
    profile = ruled(rule("calls", Gives(fresh_s=30.0), content=("tool-call",)))
    assert plan(profile, SAMPLED) == plan(BALANCED, SAMPLED)
    assert lasts(profile, SAMPLED, TOOLS) == Lifetime(0.0, rule="sampled")
    forbids = ruled(rule("calls", Gives(store=False), content=("tool-call",)))
    assert lasts(forbids, CERTAIN, TOOLS) == Lifetime(0.0, rule="calls")


def test_only_a_rule_that_names_tool_calls_gives_them_longer():
    everything = Gives(fresh_s=DAY, stale_if_error_s=DAY, stale_while_revalidate_s=DAY)
    assert lasts(ruled(rule(gives=everything)), answer=TOOLS) == Lifetime(10 * MINUTE, rule="tool-call")
    naming = rule(gives=everything, content=("tool-call", "chat"))
    assert lasts(ruled(naming), answer=TOOLS) == Lifetime(DAY, DAY, DAY, "r")
    inherits = rule(gives=Gives(), content=("tool-call", "chat"))
    assert lasts(ruled(inherits), answer=TOOLS) == Lifetime(10 * MINUTE, 0.0, 0.0, "r")
    assert lasts(ruled(inherits)) == Lifetime(DAY, 0.0, DAY, "r")
    assert lasts(ruled(inherits, profile=unbounded()), answer=TOOLS).fresh_s == 2**31


@pytest.mark.parametrize(
    ("call", "answer", "binding", "fresh_s"),
    [
        (chat(web_search=True), answered(), "web-search", 5 * MINUTE),
        (CERTAIN, answered(searched=True), "web-search", 5 * MINUTE),
        (chat(remote_urls=True), answered(), "remote-urls", 10 * MINUTE),
        (CERTAIN, answered(short_lived=True), "fallback-model", MINUTE),
        (CERTAIN, answered(result_urls=True), "result-urls", 10 * MINUTE),
        (CERTAIN, answered(expires_at_s=NOW + 30), "expires", 30.0),
    ],
)
def test_no_rule_lifts_a_ceiling(call, answer, binding, fresh_s):
    long = Gives(fresh_s=DAY, max_fresh_s=DAY, stale_while_revalidate_s=DAY, stale_if_error_s=DAY)
    for ask in (PLAIN, Ask(ttl_s=DAY)):
        found = lasts(ruled(rule(gives=long)), call, answer, ask, wall_now_s=NOW)
        assert (found.rule, found.fresh_s) == (binding, fresh_s)
        if binding in {"web-search", "result-urls", "expires"}:
            assert (found.stale_while_revalidate_s, found.stale_if_error_s) == (0, 0)


def test_no_rule_lifts_a_bypass():
    call = chat(bypass="side-effect")
    assert plan(ruled(rule()), call) == Plan(False, False, "bypass", "side-effect")
    assert lasts(ruled(rule()), call).fresh_s == 0


def test_explain_knows_the_lifetimes_that_the_answer_brings():
    profile = ruled(
        rule("calls", Gives(fresh_s=2 * DAY), content=("tool-call",)),
        rule("audio", Gives(fresh_s=40.0), media_types=("audio/*",)),
    )
    told = lasting_of(profile, CERTAIN, PLAIN, "", Keyed(KEYS[0], CERTAIN, "json"))
    assert (told.fresh_s, told.rule) == (DAY, "deterministic-alias")
    assert {limit.rule: limit.fresh_s for limit in told.by_answer} == {
        "calls": 2 * DAY,
        "web-search": 5 * MINUTE,
        "result-urls": 10 * MINUTE,
        "audio": 40.0,
    }


def test_the_words_of_a_match_are_those_of_the_vocabulary():
    assert set(get_args(Kind)) == {kind.value for kind in ContentClass}
    (determinism,) = [field for field in fields(Match) if field.name == "determinism"]
    words = {word for part in get_args(determinism.type) for word in get_args(part)}
    assert words == {kind.value for kind in Determinism}
    assert set(BEFORE_THE_ANSWER) <= {field.name for field in fields(Gives)}
