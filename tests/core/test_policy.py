"""The built-in lifetimes are those of the table in the semantics, first match wins, and callers only shorten."""

import pytest

from tiered_cache.core.models import is_dated, undated
from tiered_cache.core.policy import Plan, lifetime, plan
from tiered_cache.core.profiles import ENDLESS_S, PROFILES, Caps, Profile, Row, unbounded
from tiered_cache.core.vocabulary import (
    PLAIN,
    Answer,
    Ask,
    Call,
    ContentClass,
    Determinism,
    Lifetime,
    Usage,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
ALIAS = "openai/gpt-4o"
DATED = "openai/gpt-4o-2024-08-06"
BALANCED, STRICT, AGGRESSIVE = PROFILES["balanced"], PROFILES["strict"], PROFILES["aggressive"]


def chat(determinism=Determinism.UNSTATED, model=ALIAS, endpoint="chat/completions", **facts) -> Call:
    return Call(endpoint=endpoint, model=model, determinism=determinism, **facts)


def answered(content_class=ContentClass.CHAT, **facts) -> Answer:
    return Answer("json", b"{}", False, True, content_class, ALIAS, Usage(), **facts)


def windows(profile, call, answer=None, ask=PLAIN):
    given = lifetime(profile, call, answered() if answer is None else answer, ask)
    assert given.stale_while_revalidate_s == 0
    return given.fresh_s, given.stale_if_error_s


CERTAIN = chat(Determinism.DETERMINISTIC)
UNSTATED = chat()
SAMPLED = chat(Determinism.SAMPLED)
TOOLS = answered(ContentClass.TOOL_CALL)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_deterministic_chat_lives_7_days_for_a_dated_model_and_24_hours_for_an_alias(profile):
    assert windows(profile, chat(Determinism.DETERMINISTIC, DATED)) == (7 * DAY, DAY)
    assert windows(profile, CERTAIN) == (DAY, DAY)
    assert plan(profile, CERTAIN) == Plan(True, True, "deterministic-alias", None)


def test_unstated_chat_lives_by_profile():
    """balanced: 10 min, `detail=unstated`; strict: unstated counts as sampled; aggressive: unstated 24 h."""
    assert windows(BALANCED, UNSTATED) == (10 * MINUTE, HOUR)
    assert windows(AGGRESSIVE, UNSTATED) == (DAY, HOUR)
    assert windows(STRICT, UNSTATED) == (0, 0)
    assert plan(BALANCED, UNSTATED) == Plan(True, True, "unstated", "unstated")
    assert plan(AGGRESSIVE, UNSTATED) == Plan(True, True, "unstated", "unstated")
    assert plan(STRICT, UNSTATED) == Plan(False, False, "unstated", "unstated")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_sampled_chat_is_neither_stored_nor_collapsed(profile):
    for call in (SAMPLED, chat(Determinism.SAMPLED, DATED)):
        assert plan(profile, call) == Plan(False, False, "sampled", "sampled")
        assert lifetime(profile, call, answered(), PLAIN) == Lifetime(0.0, 0.0, 0.0, "sampled")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(
    "endpoint", ["embeddings", "rerank", "moderations", "audio/transcriptions", "audio/speech"]
)
def test_functions_of_their_input_live_30_days(profile, endpoint):
    call = chat(endpoint=endpoint)
    fresh_s, stale_s = windows(profile, call)
    assert fresh_s == 30 * DAY
    assert stale_s == (DAY if endpoint == "embeddings" else 0)
    assert plan(profile, call).collapse


def test_a_call_that_no_row_covers_is_neither_stored_nor_collapsed():
    call = chat(Determinism.DETERMINISTIC, endpoint="images/edits")
    assert plan(BALANCED, call) == Plan(False, False, "unlisted", "policy")
    assert windows(BALANCED, call) == (0, 0)


def test_tool_calls_live_10_minutes_at_most_and_never_stand_in_for_an_error():
    assert windows(BALANCED, CERTAIN, TOOLS) == (10 * MINUTE, 0)
    assert windows(BALANCED, UNSTATED, TOOLS) == (10 * MINUTE, 0)
    assert windows(AGGRESSIVE, UNSTATED, TOOLS) == (10 * MINUTE, 0)
    assert windows(STRICT, UNSTATED, TOOLS) == (0, 0)


def test_web_search_lives_5_minutes_and_never_stands_in_for_an_error():
    call = chat(Determinism.DETERMINISTIC, DATED, web_search=True)
    assert windows(BALANCED, call) == (5 * MINUTE, 0)
    assert windows(BALANCED, call, TOOLS) == (5 * MINUTE, 0)
    assert windows(BALANCED, chat(Determinism.SAMPLED, web_search=True)) == (0, 0)


def test_an_answer_that_names_sources_is_a_search_whatever_the_call_looked_like():
    found = answered(searched=True)
    for call in (CERTAIN, chat(Determinism.DETERMINISTIC, DATED), UNSTATED, chat(web_search=True)):
        assert windows(BALANCED, call, found) == (5 * MINUTE, 0)
    assert lifetime(BALANCED, CERTAIN, found, PLAIN).rule == "web-search"


NOW = 1763900000.0


def until(expires_at_s, wall_now_s=NOW, call=CERTAIN, ask=PLAIN, **facts):
    answer = answered(expires_at_s=expires_at_s, **facts)
    return lifetime(BALANCED, call, answer, ask, wall_now_s=wall_now_s)


def test_nothing_is_used_after_something_in_it_has_ended():
    """Lifetime = min(policy, every expiry inside the answer), and no error makes it longer."""
    assert until(NOW + 30) == Lifetime(30.0, 0.0, 0.0, "expires")
    assert until(NOW + DAY + 30) == Lifetime(DAY, 0.0, 30.0, "deterministic-alias")
    assert until(NOW + 9 * DAY) == Lifetime(DAY, 0.0, DAY, "deterministic-alias")
    assert until(NOW + 30, ask=Ask(ttl_s=10.0)) == Lifetime(10.0, 0.0, 20.0, "ttl")
    assert until(NOW + 30, searched=True) == Lifetime(30.0, 0.0, 0.0, "expires")
    assert until(NOW) == until(NOW - DAY) == Lifetime(0.0, rule="expires")


def test_an_instant_without_a_clock_is_a_minute_away_at_most():
    assert until(NOW + 9 * DAY, None) == Lifetime(MINUTE, 0.0, 0.0, "expires")
    assert until(NOW + 9 * DAY, None, ask=Ask(ttl_s=10.0)) == Lifetime(10.0, 0.0, 0.0, "ttl")
    assert lifetime(BALANCED, CERTAIN, answered(), PLAIN, wall_now_s=NOW).fresh_s == DAY


def test_result_urls_without_an_instant_live_10_minutes_and_never_stand_in_for_an_error():
    found = answered(result_urls=True)
    assert lifetime(BALANCED, CERTAIN, found, PLAIN) == Lifetime(10 * MINUTE, 0.0, 0.0, "result-urls")
    assert windows(BALANCED, chat(web_search=True), found) == (5 * MINUTE, 0)
    assert windows(STRICT, UNSTATED, found) == (0, 0)
    assert until(NOW + 30, result_urls=True) == Lifetime(30.0, 0.0, 0.0, "expires")
    assert until(NOW + DAY, result_urls=True) == Lifetime(10 * MINUTE, 0.0, 0.0, "result-urls")


def test_remote_urls_live_10_minutes_at_most():
    assert windows(BALANCED, chat(Determinism.DETERMINISTIC, remote_urls=True)) == (10 * MINUTE, DAY)


def test_an_answer_by_a_fallback_model_lives_60_seconds_at_most():
    assert windows(BALANCED, CERTAIN, answered(short_lived=True)) == (MINUTE, DAY)
    assert windows(BALANCED, chat(web_search=True), answered(short_lived=True)) == (MINUTE, 0)


@pytest.mark.parametrize(("ttl_s", "fresh_s"), [(30.0, 30.0), (600.0, 600.0), (601.0, 600.0), (1e9, 600.0)])
def test_a_callers_ttl_only_shortens(ttl_s, fresh_s):
    assert lifetime(BALANCED, UNSTATED, answered(), Ask(ttl_s=ttl_s)).fresh_s == fresh_s


def test_a_ttl_of_zero_stores_nothing_and_a_ttl_stores_nothing_that_policy_refuses():
    assert lifetime(BALANCED, CERTAIN, answered(), Ask(ttl_s=0.0)) == Lifetime(0.0, rule="ttl")
    assert windows(BALANCED, SAMPLED, ask=Ask(ttl_s=60.0)) == (0, 0)
    assert windows(STRICT, UNSTATED, ask=Ask(ttl_s=60.0)) == (0, 0)


def test_the_lifetime_names_what_decided():
    def rule(call, answer, ask=PLAIN):
        return lifetime(BALANCED, call, answer, ask).rule

    assert rule(CERTAIN, answered()) == "deterministic-alias"
    assert rule(CERTAIN, TOOLS) == "tool-call"
    assert rule(chat(web_search=True), TOOLS) == "web-search"
    assert rule(chat(Determinism.DETERMINISTIC, remote_urls=True), answered()) == "remote-urls"
    assert rule(CERTAIN, answered(short_lived=True)) == "fallback-model"
    assert rule(CERTAIN, TOOLS, Ask(ttl_s=5.0)) == "ttl"
    assert rule(UNSTATED, TOOLS) == "unstated"


@pytest.mark.parametrize("profile", [*PROFILES.values(), unbounded()], ids=[*PROFILES, "unbounded"])
def test_a_call_that_must_not_be_cached_is_not_whatever_the_table_says(profile):
    call = chat(Determinism.DETERMINISTIC, bypass="side-effect")
    assert plan(profile, call) == Plan(False, False, "bypass", "side-effect")
    assert windows(profile, call) == (0, 0)


def test_unbounded_stores_and_collapses_everything_for_ever():
    for call in (CERTAIN, UNSTATED, SAMPLED, chat(endpoint="anything", web_search=True, remote_urls=True)):
        assert plan(unbounded(), call) == Plan(True, True, "unbounded", None)
        assert windows(unbounded(), call, answered(ContentClass.TOOL_CALL, short_lived=True)) == (
            ENDLESS_S,
            0,
        )
        assert windows(unbounded(), call, answered(expires_at_s=1.0, result_urls=True)) == (ENDLESS_S, 0)


def test_the_first_row_that_covers_wins():
    first = Row(name="first", determinism=Determinism.UNSTATED, fresh_s=1.0)
    second = Row(name="second", fresh_s=2.0, stale_if_error_s=3.0)
    profile = Profile(name="own", rows=(first, second), caps=Caps(tool_call_s=0.0))
    assert windows(profile, UNSTATED) == (1.0, 0)
    assert windows(profile, CERTAIN) == (2.0, 3.0)
    assert plan(profile, UNSTATED).collapse is False
    assert windows(profile, CERTAIN, TOOLS) == (0, 0)


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o-2024-08-06",
        "anthropic/claude-3-5-sonnet-20241022",
        "vertex/claude-sonnet-4-5@20250929",
        "bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0",
        "bedrock/claude-sonnet-4-5-20250929@eu-central-1",
    ],
)
def test_a_model_id_that_ends_in_a_date_is_dated(model):
    assert is_dated(model)
    assert not is_dated(undated(model))


@pytest.mark.parametrize(
    "model",
    [
        "",
        "openai/gpt-4o",
        "openai/gpt-4-0613",
        "mistral/mistral-large-2411",
        "bedrock/claude-sonnet-4-5@eu-central-1",
        "openai/gpt-4o-2024-08-06-preview",
        "openai/gpt-4o-2024-13-06",
        "openai/gpt-4o-2024-00-10",
        "openai/gpt-4o-2024-01-32",
        "x-19991231",
        "x-202410221",
        "x20241022",
        "x-2024-0806",
        "x-20241022-latest",
        "x-20241022\n",
    ],
)
def test_every_other_model_id_is_an_alias(model):
    assert not is_dated(model)
    assert undated(model) == model


def test_a_model_id_loses_its_date_and_nothing_else():
    assert undated("openai/gpt-4o-2024-08-06") == "openai/gpt-4o"
    assert undated("bedrock/claude-20250929-v2:0@eu-central-1") == "bedrock/claude-v2:0@eu-central-1"
