"""The reference pages are complete: what the code can say, take or raise is on them, and nothing else."""

import ast
import json
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import tiered_cache
from tests.integration.gateway_kit import JSON, KEY, Upstream, answer, ask, chat, gateway
from tiered_cache import testing
from tiered_cache.core.answers import error_event
from tiered_cache.core.canonical import json_form, reading
from tiered_cache.core.canonical.origin_tables import STATE_FIELDS
from tiered_cache.core.directives import FOREIGN_PREFIXES, KEY_HEADERS
from tiered_cache.core.eviction import LARGEST_SHARE
from tiered_cache.core.profiles import PROFILES, Caps, Profile
from tiered_cache.core.status import cache_status
from tiered_cache.core.vocabulary import Fwd, Headers, Outcome, Response
from tiered_cache.engine import cache as engine_cache
from tiered_cache.engine import flight, flights
from tiered_cache.engine.config import CacheConfig, DiskConfig, MemoryConfig, RedisConfig
from tiered_cache.engine.credentials import CREDENTIAL_FIELDS
from tiered_cache.errors import RequestError, TieredCacheError
from tiered_cache.gateway.config import GatewayConfig, read_config
from tiered_cache.gateway.delivery import _FAILURES
from tiered_cache.integrations import transport
from tiered_cache.integrations.metrics import BOUNDS_S
from tiered_cache.tiers import disk
from tiered_cache.tiers.breaker import BreakerConfig

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
HEADERS, OPTIONS, PYTHON, ERRORS, METRICS, GATEWAY = (
    (PAGES / f"{name}.md").read_text()
    for name in ("headers", "options", "python", "errors", "metrics", "gateway")
)
PACKAGES = ("core", "engine", "gateway", "integrations", "tiers")
"""Where calls are answered; the simulation and the command line have words of their own."""


def section(page: str, heading: str) -> str:
    """What stands under a heading of any level, up to the next heading."""
    found = re.split(rf"^#+ {re.escape(heading)}$", page, flags=re.MULTILINE)
    assert len(found) == 2, heading
    return re.split(r"^#+ ", found[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    assert len(lines) > 2, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(text: str) -> list[str]:
    """What stands in backquotes, fenced blocks apart."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def first_words(page: str, heading: str) -> list[str]:
    """What stands in backquotes in the first column."""
    return [word for row in rows(page, heading) for word in words(row[0])]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


class Source:
    """One module of ours, read for the words that it can say."""

    def __init__(self, path: Path):
        self.tree = ast.parse(path.read_text())
        self.named = {
            target.id: node.value.value
            for node in self.tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def said(self, node: ast.expr | None) -> set[str]:
        """The texts that an expression can give, as far as it is built of texts."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.Name(id=name) if isinstance(self.named.get(name), str):
                return {self.named[name]}
            case ast.IfExp(body=one, orelse=other):
                return self.said(one) | self.said(other)
            case ast.BoolOp(values=values):
                return set().union(*map(self.said, values))
            case _:
                return set()

    def calls(self, *names: str) -> list[ast.Call]:
        return [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names
        ]

    def arguments(self, *names: str) -> set[str]:
        """Texts that functions of these names are given, by place."""
        given = [argument for call in self.calls(*names) for argument in call.args]
        return set().union(*map(self.said, given))

    def details(self) -> set[str]:
        """Reason words: what is named `detail` or `bypass`, and what functions that may have none return."""
        values: list[ast.expr | None] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.keyword) and node.arg == "detail":
                values.append(node.value)
            elif isinstance(node, ast.Assign):
                names = {ast.unparse(target).rpartition(".")[2] for target in node.targets}
                values += [node.value] if names & {"detail", "bypass"} else []
            elif isinstance(node, ast.FunctionDef) and node.name in REASONING:
                values += [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
        return set().union(*map(self.said, values))


REASONING = {
    *(
        "_bypass",
        "bypass_of",
        "bypass_told",
        "_forbidden",
        "_judge",
        "_judge_images",
        "_judge_moderation",
        "_judge_ranking",
    ),
    *("_lenient_detail", "_problem", "_rule_detail", "why_never", "why_not"),
}
"""Functions that return a reason word or None."""

SOURCES = [Source(path) for package in PACKAGES for path in (ROOT / "tiered_cache" / package).rglob("*.py")]


def union(sets) -> set[str]:
    return reduce(set.union, sets, set())


class TestDetails:
    """`detail` of Cache-Status: what the code can put there is what the page explains."""

    TABLES = ("Tiers", "Why a call was not looked up", "Why an answer was not stored", "Other words")

    def test_every_word_is_explained_and_none_is_made_up(self):
        spoken = union(source.details() for source in SOURCES)
        spoken |= union(
            source.arguments("Bypass", "Refusal", "Unfit", "UnsafeBodyError", "_note") for source in SOURCES
        )
        spoken |= union(source.arguments("forward", "_forward") for source in SOURCES)
        spoken |= set(stored_elsewhere()) | {"L1", "disk", "L2"}
        explained = union(set(first_words(HEADERS, table)) for table in self.TABLES)
        assert spoken - explained == set(), "not on the page"
        assert explained - spoken == set(), "nobody says it"

    def test_refusals_stand_in_the_table_of_answers(self):
        refusals = union(source.arguments("Refusal", "_note") for source in SOURCES)
        assert refusals - {"route"} <= set(first_words(HEADERS, "Why an answer was not stored"))

    def test_bodies_that_are_not_keyed_stand_in_the_table_of_calls(self):
        unsafe = union(source.arguments("UnsafeBodyError", "Bypass") for source in SOURCES)
        assert unsafe <= set(first_words(HEADERS, "Why a call was not looked up"))

    def test_the_tiers_are_named_as_they_are(self):
        named = {
            item.value.value
            for source in SOURCES
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ClassDef) and node.name.endswith("Tier")
            for item in node.body
            if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "name"
        }
        assert named == set(first_words(HEADERS, "Tiers")) - {"stale-if-error"}

    def test_every_fwd_word_is_on_the_page(self):
        under = section(HEADERS, "Cache-Status")
        assert set(get_args(Fwd)) <= set(words(under))

    def test_every_parameter_that_an_outcome_can_show_is_on_the_page(self):
        outcome = Outcome(
            kind="miss",
            fwd="uri-miss",
            fwd_status=200,
            ttl_s=1.0,
            stored=True,
            collapsed=True,
            detail="x",
        )
        shown = {part.partition("=")[0] for part in cache_status(outcome).decode().split("; ")[1:]}
        assert shown | {"hit"} == set(words(section(HEADERS, "Cache-Status"))) & {*shown, "hit"}


def stored_elsewhere() -> list[str]:
    """Reason words that are data: tables of the profiles and of the dialect."""
    told = [row.detail for profile in PROFILES.values() for row in profile.rows]
    return [*STATE_FIELDS.values(), *(word for word in told if word is not None)]


class TestHeaders:
    """Fields of requests and responses."""

    def test_the_fields_in_the_key(self):
        under = section(HEADERS, "Fields in the key")
        assert {name.decode() for name in KEY_HEADERS} == set(words(under)) - {"key_headers"}

    def test_the_control_fields_of_other_gateways(self):
        under = section(HEADERS, "Control fields of other gateways")
        assert {prefix.decode() for prefix in FOREIGN_PREFIXES} == set(words(under))

    def test_the_credentials(self):
        under = section(HEADERS, "Credentials")
        assert {name.decode() for name in CREDENTIAL_FIELDS} | {"key="} == set(words(under))

    async def test_every_field_of_an_answer_is_on_the_page(self):
        """Of hits, 304s, misses, bypasses, other routes, errors of the origin and of our own."""
        reply: Headers = (JSON, (b"x-request-id", b"req-1"))
        seen: set[str] = set()
        async with gateway(Upstream(lambda _: Response(200, reply, answer()))) as app:
            first = await ask(app, chat())
            tag = (b"if-none-match", first.value("etag").encode())
            for call in (
                ask(app, chat()),
                ask(app, chat(), headers=(KEY, JSON, tag)),
                ask(app, chat(temperature=1.5)),
                ask(app, chat("x"), headers=(KEY, JSON, (b"cache-control", b"only-if-cached"))),
                ask(app, b""),
                ask(app, method="GET"),
                ask(app, method="GET", path="/v1/models"),
            ):
                seen |= {name.decode() for name, _ in (await call).lines}
        assert len(seen) > 8
        assert seen <= set(first_words(HEADERS, "Response"))

    @pytest.mark.parametrize(
        ("control", "status"),
        [
            ("no-store", "fwd=request; fwd-status=200; detail=no-store"),
            ("no-cache", "fwd=request; .* stored"),
            ("max-age=0", "fwd=request; .* stored"),
            ("max-age=soon", "fwd=request; .* stored"),
            ("max-age=60", "hit; .* detail=L1"),
            ("min-fresh=60", "hit; .* detail=L1"),
            ("min-fresh=100000", "fwd=stale; .*stored"),
            ("max-stale=60", "hit; .* detail=L1"),
            ("only-if-cached", "hit; .* detail=L1"),
        ],
    )
    async def test_the_directives_do_what_the_page_says(self, control, status):
        assert control.partition("=")[0] in {
            word.partition("=")[0] for word in words(section(HEADERS, "Cache-Control"))
        }
        async with gateway(Upstream()) as app:
            await ask(app, chat())
            told = await ask(app, chat(), headers=(KEY, JSON, (b"cache-control", control.encode())))
        assert re.search(status, told.cache_status)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """A default as the pages write it."""
    if field.required:
        return "required"
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory()
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "empty" if default in ((), {}) else f"`{default}`"


class TestOptions:
    """Every field of every configuration, with its default."""

    @pytest.mark.parametrize(
        ("config", "heading"),
        [
            (CacheConfig, "The cache"),
            (MemoryConfig, "Memory"),
            (DiskConfig, "Disk"),
            (RedisConfig, "Redis"),
        ],
    )
    def test_every_field_is_in_its_table_with_its_default(self, config, heading):
        stated = {row[0]: row[1] for row in rows(OPTIONS, heading)}
        expected = {f"`{field.name}`": default_of(field) for field in msgspec.structs.fields(config)}
        if config is CacheConfig:
            expected["`memory`"] = "[below](#memory)"
        assert stated == expected

    def test_every_setting_of_the_gateway_is_in_its_table_with_its_default(self):
        stated = {row[0]: row[1] for row in rows(GATEWAY, "Settings of the file")}
        fields = [field for field in msgspec.structs.fields(GatewayConfig) if field.name != "upstream_key"]
        expected = {f"`{field.name}`": default_of(field) for field in fields}
        expected["`cache`"] = ""
        assert stated == expected

    def test_the_file_and_the_value_shown_are_the_same(self):
        (toml,), (code,) = blocks(OPTIONS, "toml"), blocks(OPTIONS, "python")
        names: dict[str, object] = {}
        exec(code, names)  # the page's own snippet
        assert read_config(toml.encode(), "page").cache == msgspec.structs.replace(
            names["config"], secret=None
        )

    def test_the_lifetimes_are_those_of_the_profiles(self):
        table = rows(OPTIONS, "Lifetimes")
        lifetimes, ceilings = table[: len(PROFILES["balanced"].rows)], table[-5:]
        profiles = (PROFILES["balanced"], PROFILES["strict"], PROFILES["aggressive"])
        assert [words(row[0])[0] for row in lifetimes] == [row.name for row in PROFILES["balanced"].rows]
        for row in lifetimes:
            name = words(row[0])[0]
            assert row[2:5] == [shown(lasts(profile, name)) for profile in profiles]
            assert row[5] == (shown(outlives(profiles[0], name)) if outlives(profiles[0], name) else "no")
        caps = Caps()
        limits = [caps.tool_call_s, caps.web_search_s, caps.remote_urls_s, caps.fallback_s]
        names = ["tool-call", "web-search", "remote-urls", "fallback-model", "ttl"]
        assert [words(row[0])[0] for row in ceilings] == names
        assert [row[2].partition(",")[0] for row in ceilings[:4]] == [shown(limit_s) for limit_s in limits]

    def test_what_is_stored_is_collapsed(self):
        stored = [row for profile in PROFILES.values() for row in profile.rows if row.fresh_s > 0]
        assert all(row.collapse for row in stored)

    def test_what_is_fixed_is_as_stated(self):
        breaker = BreakerConfig()
        stated = [row[1] for row in rows(OPTIONS, "What is fixed")]
        assert LARGEST_SHARE == disk.LARGEST_SHARE
        assert stated == [
            f"1/{LARGEST_SHARE}",
            f"{json_form.MAX_DEPTH}",
            f"{reading.MAX_DIGITS}",
            f"{flights.HIT_FOR_MISS_S:.0f} s",
            f"{flight.FINISH_S:.0f} s",
            f"{flight.YOUNG_STREAM_S:.0f} s",
            f"{breaker.failures} of the last {breaker.window}",
            f"{breaker.cool_down_s} s to {breaker.max_cool_down_s:.0f} s",
            f"{engine_cache.DRAIN_S:.0f} s; the gateway: `drain_s`",
        ]


def lasts(profile: Profile, name: str) -> float:
    return next(row.fresh_s for row in profile.rows if row.name == name)


def outlives(profile: Profile, name: str) -> float:
    return next(row.stale_if_error_s for row in profile.rows if row.name == name)


def shown(seconds: float) -> str:
    """A duration as the page writes it."""
    if seconds == 0:
        return "not stored"
    days, hours, minutes = seconds / 86_400, seconds / 3_600, seconds / 60
    if days >= 2:
        return f"{days:.0f} d"
    return f"{hours:.0f} h" if hours >= 1 else f"{minutes:.0f} min"


class TestPython:
    """Every public name, and every snippet."""

    def test_every_public_name_is_on_the_page(self):
        named = {part for word in words(PYTHON) for part in re.findall(r"\w+", word)}
        assert set(tiered_cache.__all__) - named == set()

    @pytest.mark.parametrize("kind", [tiered_cache.Cache, tiered_cache.BlockingCache])
    def test_every_public_member_of_a_cache_is_on_the_page(self, kind):
        members = {name for name in vars(kind) if not name.startswith("_")}
        attributes = re.search(r"Attributes:\n(.*)", kind.__doc__, re.DOTALL)[1]
        members |= set(re.findall(r"^ +(\w+):", attributes, re.MULTILINE))
        stated = {word.partition("(")[0] for word in first_words(PYTHON, kind.__name__)}
        assert stated == {f"{kind.__name__}.{member}" for member in members}

    @pytest.mark.parametrize(
        "kind", ["Request", "Response", "Outcome", "Scope", "CallResult", "Explanation", "Comparison"]
    )
    def test_every_field_of_a_value_is_on_the_page(self, kind):
        (row,) = [row for row in rows(PYTHON, "Values") if words(row[0]) == [kind]]
        fields = {field.name for field in msgspec.structs.fields(getattr(tiered_cache, kind))}
        assert fields - set(words(row[1])) == set()

    def test_the_integrations_and_the_test_kit_are_on_the_page(self):
        stated = set(first_words(PYTHON, "Integrations"))
        public = {
            f"tiered_cache.integrations.transport.{name}"
            for name, value in vars(transport).items()
            if getattr(value, "__module__", "") == transport.__name__ and not name.startswith("_")
        }
        assert stated == public | {"tiered_cache.integrations.origin.HttpOrigin"}
        assert set(testing.__all__) <= set(words(section(PYTHON, "For tests")))

    @pytest.mark.parametrize(
        ("number", "said"),
        [
            (0, "200 miss None\n200 hit L1\n"),
            (
                1,
                "A level of a cache. b'tiered-cache; fwd=.*stored'\nA level of a cache. b'tiered-cache; hit;.*'\n",
            ),
            (2, "miss\nhit\n1 call to the origin\n"),
        ],
    )
    def test_a_snippet_says_what_it_should(self, number, said):
        code = blocks(PYTHON, "python")
        assert len(code) == 3
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code[number]],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PYTHONPATH": str(ROOT)},
            check=False,
        )
        assert done.stderr == ""
        assert re.fullmatch(said, done.stdout)


def tree(kind: type[TieredCacheError]) -> list[type[TieredCacheError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in tree(below))]


class TestErrors:
    """Every code that a program or a caller can meet."""

    def test_every_exception_is_in_the_table_with_its_code(self):
        stated = {words(row[0])[0]: row[1] for row in rows(ERRORS, "Exceptions")}
        ours = [kind for kind in tree(TieredCacheError) if kind.__module__ == "tiered_cache.errors"]
        expected = {kind.__name__: f"`{kind.code}`" for kind in ours}
        expected["RequestError"] = "see below"
        assert stated == expected

    def test_every_code_of_a_refused_request_is_in_both_tables(self):
        stated = {(words(row[0])[0], row[1]) for row in rows(ERRORS, "Codes of RequestError")}
        assert stated == request_codes()
        gateway_codes = {
            (code, row[0]) for row in rows(GATEWAY, "Errors of our own") for code in words(row[1])
        }
        others = {(code, str(status)) for _, status, code, _ in _FAILURES}
        assert gateway_codes == stated | others | {("not_cached", "504")}

    def test_the_error_event_shown_is_the_one_sent(self):
        (code,) = [block for block in blocks(ERRORS, "text") if "error" in block]
        told = json.loads(code.removeprefix("data: "))["error"]
        assert error_event("chat/completions", told["message"], told["code"]) == code.encode() + b"\n"
        (source,) = [source for source in SOURCES if "origin's stream" in ast.unparse(source.tree)]
        assert {told["message"], told["code"]} <= source.arguments("error_event")


def request_codes() -> set[tuple[str, str]]:
    """Code and status of every RequestError that is made anywhere."""
    found = set()
    for source in SOURCES:
        for call in source.calls("RequestError"):
            literals = [node.value for node in call.args if isinstance(node, ast.Constant)]
            named = {
                word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)
            }
            status = next((value for value in literals if type(value) is int), 400)
            default = RequestError("").code
            code = named.get("code", literals[-1] if len(call.args) == 3 else default)
            found.add((code, str(status)))
    return found


class TestMetrics:
    """Every name and bound of the metrics page."""

    def test_every_counter_of_the_engine_is_in_the_table(self):
        counted = set()
        for source in SOURCES:
            for call in source.calls("count"):
                if ast.unparse(call.func) in {"self._ledger.count", "self.ledger.count", "self.count"}:
                    counted |= source.said(call.args[0])
        assert len(counted) > 5
        metrics = {f"tiered_cache_{name.replace('-', '_')}_total" for name in counted}
        assert metrics == set(first_words(METRICS, "Counters by event"))

    def test_the_kinds_and_outcomes_are_on_the_page(self):
        kinds = set(get_args(Outcome.__annotations__["kind"]))
        told = {words(row[0])[0]: set(words(row[1])) for row in rows(METRICS, "Labels")}
        assert told["kind"] == kinds
        ways = {"forward", "refused", "cut", "gone", "hit-L1", "hit-disk", "hit-L2"}
        assert told["outcome"] == kinds - {"hit", "revalidated"} | ways

    def test_the_buckets_are_as_stated(self):
        stated = section(METRICS, "Buckets").partition(":")[2].rstrip(".\n").split(",")
        assert [float(bound) for bound in stated] == list(BOUNDS_S)
