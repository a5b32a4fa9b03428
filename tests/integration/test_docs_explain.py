"""The page of the canonical form is what the code applies; the snippets of both pages run and say what they should."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.core.vectors.make_page import PAGE, page
from tests.integration.gateway_process import GatewayProcess, environment
from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS, json_form, reading
from tiered_cache.core.canonical.catalogue import catalogue_of
from tiered_cache.core.directives import KEY_HEADERS
from tiered_cache.core.keys import KEY_VERSION
from tiered_cache.simulation.process import SimulatedRequesty

ROOT = Path(__file__).parents[2]
FORM = PAGE.read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs" / "how-to" / "explain.md").read_text(encoding="utf-8")
TOKEN = "an admin token for this page"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(*command: str, cwd: Path = ROOT, **variables: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=40,
        check=False,
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), COLUMNS="100", PYTHONUTF8="1", **variables),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tables_are_those_that_the_code_applies():
    assert page(FORM) == FORM, "run python -m tests.core.vectors.make_page"
    for dialect in CACHEABLE_ENDPOINTS:
        assert f"\n## {dialect} beside its tables\n" in FORM
        for row in (*catalogue_of(dialect).drops, *catalogue_of(dialect).elisions):
            assert row.source in FORM


def test_the_numbers_and_names_of_the_page_are_those_of_the_code():
    assert f"version of this page is **{KEY_VERSION}**" in FORM
    assert f"more than {reading.MAX_DIGITS} digits" in FORM
    assert f"below the {json_form.MAX_DEPTH}th" in FORM
    for name in json_form.KEPT_IN_ORDER:
        assert f"`{name}`" in FORM.partition("## Order")[2].partition("\n## ")[0]
    said = FORM.partition("## Header fields")[2].partition("\n## ")[0]
    assert {name.decode() for name in KEY_HEADERS} <= set(re.findall(r"`([^`]+)`", said))


def test_every_reason_word_of_a_body_is_on_the_page():
    said = set(
        re.findall(
            r"^\| `([a-z0-9-]+)` \|", FORM.partition("## Reading")[2].partition("\n## ")[0], re.MULTILINE
        )
    )
    found = {
        row["bypass"]
        for row in json.loads((PAGE.parent / "canonical-vectors.json").read_text())["rows"]
        if "bypass" in row
    }
    beside = {
        "no-model",
        "policy-model",
        "origin-tool",
        "side-effect",
        "stream",
        "multipart",
        "response-format",
    }
    headers = {"foreign-control", "unknown-control", "bad-ttl", "bad-replay"}
    assert found == said | beside | headers
    assert all(f"`{word}`" in FORM for word in beside)


def test_the_snippet_makes_the_key_of_a_vector():
    (code,) = blocks(FORM, "python")
    assert run(sys.executable, "-W", "error", "-c", code) == "True\n"


def typed(code: str, folder: Path, **variables: str) -> str:
    """What a reader sees who types the commands of a block."""
    return run(
        "bash",
        "-ec",
        code.replace("tiered-cache ", f"{sys.executable} -m tiered_cache.cli.main "),
        cwd=folder,
        **variables,
    )


def test_the_commands_of_the_how_to_say_what_it_says(tmp_path):
    one, path, two, scripts, serve, curl = blocks(HOW_TO, "sh")

    told = typed(one, tmp_path)
    assert "cacheable" in told and "deterministic-alias" in told and "stream_options.include_usage" in told
    assert "cacheable" in typed(path, tmp_path)
    assert re.search(r"1 difference\.\n.*messages\[0\]\.content", typed(two, tmp_path), re.DOTALL)
    first, _, second = typed(scripts, tmp_path).partition("\n}\n")
    assert set(json.loads(first + "}")) == set(
        re.findall(r"`(\w+)`", HOW_TO.partition("The first has")[2].partition(";")[0])
    )
    assert [each["path"] for each in json.loads(second)["differences"]] == ["messages[0].content"]
    assert "TIERED_CACHE_ADMIN_TOKEN" in serve

    with (
        SimulatedRequesty() as requesty,
        GatewayProcess("--upstream", requesty.url, TIERED_CACHE_ADMIN_TOKEN=TOKEN) as node,
    ):
        answer = typed(
            curl.replace("http://127.0.0.1:8080", node.base), tmp_path, TIERED_CACHE_ADMIN_TOKEN=TOKEN
        )
    assert json.loads(answer)["differences"] == [{"path": "messages[0].content", "a": '"hi"', "b": '"Hi"'}]


def test_the_python_of_the_how_to():
    (code,) = blocks(HOW_TO, "python")
    assert (
        run(sys.executable, "-W", "error", "-c", code)
        == "True unstated unstated 600.0\nTrue\ntemperature None 0\n"
    )
