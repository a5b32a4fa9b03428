"""The page of the rules is complete, its two snippets say the same, and the examples do what they say."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.integration.gateway_kit import JSON, KEY, OTHER_KEY, Upstream, ask, chat, gateway
from tests.integration.gateway_process import environment
from tests.integration.test_docs_reference import blocks, default_of, rows, section, words
from tiered_cache.core.canonical.loose import PLACES
from tiered_cache.core.rules import LOOSER, Gives, Match, Rule
from tiered_cache.engine.build import build
from tiered_cache.engine.checks import check_cache
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig
from tiered_cache.errors import ConfigError
from tiered_cache.gateway.config import read_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs" / "how-to" / "rules.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [Rule, Match, Gives])
def test_every_field_is_in_its_table(kind):
    assert [words(row[0])[0] for row in rows(PAGE, kind.__name__)] == [
        field.name for field in msgspec.structs.fields(kind)
    ]
    assert {default_of(field) for field in msgspec.structs.fields(Match)} == {"empty", "none"}
    assert {default_of(field) for field in msgspec.structs.fields(Gives)} == {"none"}


def test_the_file_and_the_value_shown_are_the_same():
    (toml, _, _), (code,) = blocks(PAGE, "toml"), blocks(PAGE, "python")
    names: dict[str, object] = {}
    exec(code, names)  # the page's own snippet
    config = read_config(toml.encode(), "page").cache
    assert config == names["config"]
    assert [rule.name for rule in build(config, SYSTEM_CLOCK).profile.rules] == [
        "support",
        "short-tool-calls",
    ]


def test_the_examples_are_one_file_that_does_what_they_say(tmp_path):
    toml = "".join(blocks(HOW_TO, "toml"))
    (tmp_path / "gateway.toml").write_text(toml, encoding="utf-8")
    check_cache(read_config(toml.encode(), "how-to").cache)
    (script,) = blocks(HOW_TO, "sh")
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=environment(
            PYTHONPATH=str(ROOT), COLUMNS="100", PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"
        ),
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = re.split(r"(?=POST )", done.stdout)[1:]
    assert re.search(r"cacheable.*rule +slogans.*fresh +1 h \(slogans\).*by answer", first, re.DOTALL)
    assert re.search(r"not cached \(rule\).*rule +private", second, re.DOTALL)


async def test_rules_of_a_file_hold_in_the_gateway():
    """The example about samples: stored for an hour; the one about callers: as long as they ask."""
    config = read_config("".join(blocks(HOW_TO, "toml")).encode(), "how-to").cache
    async with gateway(Upstream(), cache={"rules": config.rules}) as app:
        slogan = [await ask(app, chat(temperature=0.7)) for _ in range(2)]
        room = (KEY, JSON, (b"x-tiered-cache-ttl", b"100000"))
        other = [await ask(app, chat(model="anthropic/claude-x"), headers=room) for _ in range(2)]
    assert re.search(r"; hit; ttl=3[56]\d\d; detail=L1/sampled", slogan[1].cache_status)
    assert re.search(r"; hit; ttl=(99999|100000); ", other[1].cache_status)


async def test_policies_and_omitted_models_of_the_page_hold_in_the_gateway():
    config = read_config(blocks(PAGE, "toml")[2].encode(), "page").cache
    check_cache(config)
    assert set(config.policies.values()) | {"bypass"} == {words(row[0])[0] for row in rows(PAGE, POLICIES)}
    upstream = Upstream()
    ids = {"requesty": {"user_id": "u"}}
    declared = {"policies": config.policies, "default_models": config.default_models}
    async with gateway(upstream, cache=declared) as app:
        told = [
            await ask(app, body)
            for body in (
                chat(model="policy/cheapest"),
                chat(model="policy/cheapest", **ids),
                chat(model="policy/experiment", **ids),
                chat(model="policy/experiment", requesty={"user_id": "v"}),
                chat(model="policy/experiment", requesty={"user_id": "u", "tags": ["a"]}),
                chat(model="policy/experiment"),
                OMITTED,
                chat(),
            )
        ]
    seen = [re.search(r"; (hit|fwd=[\w-]+)", each.cache_status)[1] for each in told]
    miss, bypass = "fwd=uri-miss", "fwd=bypass"
    assert seen == [miss, "hit", miss, miss, "hit", bypass, miss, "hit"]
    assert upstream.requests[-1].body == OMITTED, "the origin gets the caller's bytes"


async def test_looser_keys_of_the_page_hold_in_the_gateway():
    """Each word is in the table with its version, and each place in the other."""
    assert [words(row[0])[0] for row in tables(PAGE, "Looser keys")[0]] == list(LOOSER)
    assert [words(row[0])[0] for row in tables(PAGE, "Looser keys")[1]] == list(PLACES)
    told = re.findall(r"(\d+) (?:more )?for `([\w-]+)`", PAGE)
    assert told == [(str(16 << place), word) for place, word in enumerate(LOOSER)]
    config = read_config(blocks(PAGE, "toml")[1].encode(), "page").cache
    check_cache(config)
    digests = {
        hashlib.sha256(key).hexdigest(): tenant for key, tenant in ((b"rqy_one", "search"), (b"rqy_two", "x"))
    }
    upstream = Upstream()
    async with gateway(upstream, cache={"rules": config.rules, "tenants": digests}) as app:
        seen = [
            (await ask(app, chat(text), headers=(key, JSON))).cache_status
            for key in (KEY, OTHER_KEY)
            for text in ("Caf\u00e9?", " cafe\u0301?\n", "cafe?")
        ]
    assert ["; hit" in each for each in seen] == [False, True, False, False, False, False]


def tables(page: str, heading: str) -> list[list[list[str]]]:
    """The tables under a heading, cell by cell, without their heads."""
    found = re.findall(r"(?:^\|.*\n)+", section(page, heading), re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        for table in found
    ]


POLICIES = "Policies and omitted models"
OMITTED = b'{"temperature":0,"messages":[{"role":"user","content":"hello"}]}'

REFUSED = [
    ({"match": {"endpoints": ["v1/chat/completions"]}}, "rules[0].match.endpoints"),
    ({"gives": {"fresh_s": -1}}, "rules[0].gives.fresh_s"),
    ({"gives": {"max_fresh_s": 1e12}}, "rules[0].gives.max_fresh_s"),
    ({"gives": {"stale_while_revalidate_s": -0.5}}, "rules[0].gives.stale_while_revalidate_s"),
    ({"gives": {"stale_if_error_s": float("inf")}}, "rules[0].gives.stale_if_error_s"),
    ({"gives": {"fresh_s": float("nan")}}, "rules[0].gives.fresh_s"),
    ({"gives": {"jitter": 1.1}}, "rules[0].gives.jitter"),
    ({"gives": {"store": True}}, "rules[0].gives.store"),
    ({"match": {"content": ["chat"]}, "gives": {"looser": ["trim"]}}, "rules[0].gives.looser"),
    ({"match": {"endpoints": ["embeddings"]}, "gives": {"looser": ["trim"]}}, "rules[0].match.endpoints"),
    ({"match": {"content": ["chat"]}, "gives": {"collapse": True}}, "rules[0].gives.collapse"),
    ({"match": {"content": ["chat"]}, "gives": {"replay": "instant"}}, "rules[0].gives.replay"),
    ({"match": {"content": ["chat"]}, "gives": {"variants": 3, "fresh_s": 9}}, "rules[0].gives.variants"),
    ({"gives": {"variants": 3}}, "rules[0].gives.variants"),
    ({"gives": {"variants": 3, "fresh_s": 0}}, "rules[0].gives.variants"),
    ({"gives": {"variants": 3, "fresh_s": 9, "store": False}}, "rules[0].gives.variants"),
    ({"gives": {"variants": 1, "fresh_s": 9}}, "rules[0].gives.variants"),
    ({"gives": {"variants": 17, "fresh_s": 9}}, "rules[0].gives.variants"),
    ({"gives": {"replay": {"tokens_per_s": 0}}}, "rules[0].gives.replay.tokens_per_s"),
    ({"gives": {"replay": {"tokens_per_s": 1e9}}}, "rules[0].gives.replay.tokens_per_s"),
    ({"match": {"media_types": ["a/*"]}, "gives": {"collapse": False}}, "rules[0].gives.collapse"),
]


@pytest.mark.parametrize(("rule", "named"), REFUSED)
def test_a_rule_that_could_have_no_effect_is_refused_with_its_place(rule, named):
    config = CacheConfig(rules=(msgspec.convert(rule, Rule),))
    with pytest.raises(ConfigError, match=re.escape(named)):
        check_cache(config)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("match = { model = ['x'] }", "`model`"),
        ("match = { models = 'x' }", "$.cache.rules[0].match.models"),
        ("match = { determinism = 'random' }", "$.cache.rules[0].match.determinism"),
        ("gives = { fresh = 5 }", "`fresh`"),
        ("gives = { fresh_s = '5' }", "$.cache.rules[0].gives.fresh_s"),
        ("gives = { replay = 'slow' }", "$.cache.rules[0].gives.replay"),
        ("gives = { replay = { tokens = 5 } }", "`tokens`"),
        ("when = {}", "`when`"),
        ("gives = { looser = ['case'] }", "$.cache.rules[0].gives.looser"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_path(toml, named):
    with pytest.raises(ConfigError, match=re.escape(named)):
        read_config(f"[[cache.rules]]\n{toml}\n".encode(), "x.toml")


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule(match=Match(models="openai/*")), "$[0].match.models"),
        (Rule(match=Match(determinism="random")), "$[0].match.determinism"),
        (Rule(gives=Gives(fresh_s="5")), "$[0].gives.fresh_s"),
        (Rule(gives=Gives(collapse=1)), "$[0].gives.collapse"),
        (Rule(gives=Gives(collapse=object())), "rules: "),
    ],
)
def test_values_made_in_python_are_checked_like_those_of_a_file(rule, named):
    with pytest.raises(ConfigError, match=re.escape(named)):
        build(CacheConfig(rules=(rule,)), SYSTEM_CLOCK)
    with pytest.raises(TypeError, match="fresh"):
        Gives(fresh=1)
