"""`tiered-cache explain`: a page for people, JSON for tools, one line for what cannot be explained."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.vectors.make_vectors import ORIGIN_ID, PUBLISHED, SECRET, TENANT
from tests.integration.gateway_process import environment
from tiered_cache.cli import explain as verb
from tiered_cache.cli.explain_view import duration, excerpts
from tiered_cache.cli.main import main

ROOT = Path(__file__).parents[2]
CALL = {
    "model": "openai/gpt-4o-mini",
    "temperature": 0.0,
    "stream": True,
    "n": 1,
    "messages": [{"role": "user", "content": "What is a tier?"}],
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes a request body and gives its name."""
    monkeypatch.delenv("TIERED_CACHE_SECRET", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def write(name, **fields):
        (tmp_path / name).write_text(json.dumps(CALL | fields))
        return name

    return write


def told(capsys, *arguments) -> dict:
    assert main(["explain", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_has_the_published_secret_and_partition(file, capsys):
    assert (verb.TEST_SECRET, verb.TEST_TENANT, verb.TEST_ORIGIN) == (SECRET, TENANT, ORIGIN_ID)
    rows = json.loads(PUBLISHED.read_text(encoding="utf-8"))["rows"]
    row = next(row for row in rows if row["name"] == "plain")
    Path("plain.json").write_text(row["raw"], encoding="utf-8")

    assert told(capsys, "plain.json")["key"] == row["key"]


def test_json_of_one_request(file, capsys):
    made = told(capsys, file("a"))

    assert list(made) == [
        "key",
        "cacheable",
        "reason",
        "dropped",
        "rule",
        "lifetime",
        "replay",
        "variants",
        "edits",
        "canonical",
        "looser",
    ]
    assert (made["cacheable"], made["reason"], made["rule"]) == (True, None, "deterministic-alias")
    assert [row["path"] for row in made["dropped"]] == ["stream", "n"]
    assert made["lifetime"]["fresh_s"] == 86_400
    assert [edit["path"] for edit in made["edits"]] == ["stream_options.include_usage"]


def test_json_of_two_requests(file, capsys):
    assert told(capsys, file("a"), file("b", stream=False)) == {"same": True, "differences": []}
    assert told(capsys, "a", file("b", temperature=1)) == {
        "same": False,
        "differences": [{"path": "temperature", "a": "0", "b": "1"}],
    }


def test_json_says_on_the_error_output_which_secret_it_was(file, capsys, monkeypatch):
    file("a")
    main(["explain", "a", "--json"])
    test = capsys.readouterr()
    monkeypatch.setenv("TIERED_CACHE_SECRET", "another secret of ours")
    main(["explain", "a", "--json", "--header", "Authorization: Bearer rqy_one"])
    own = capsys.readouterr()

    assert "published test secret" in test.err
    assert "secret in TIERED_CACHE_SECRET, the tenant of the credential" in own.err
    assert json.loads(test.out)["key"] != json.loads(own.out)["key"]
    assert "rqy_one" not in own.out + own.err


def test_path_and_header_fields_join_the_key(file, capsys):
    file("a")
    keys = {
        told(capsys, "a", *more)["key"]
        for more in (
            [],
            ["--path", "/v1/chat/completions?x=1"],
            ["--header", "anthropic-beta: a"],
            ["--header", "Authorization: Bearer b"],
        )
    }

    assert len(keys) == 4
    assert told(capsys, "a", "--header", "x-title: a")["key"] in keys
    assert told(capsys, "a", "--path", "/v1/files")["reason"] == "route"
    assert told(capsys, "a", "--header", "cache-control: no-store")["reason"] == "no-store"


def test_the_page_of_one_request(file, capsys):
    assert main(["explain", file("a")]) == 0
    page = capsys.readouterr().out

    for words in (
        "POST /v1/chat/completions: cacheable",
        "the published test secret, tenant acme",
        "24 h (deterministic-alias)",
        "10 min (tool-call)",
        "stream_options.include_usage = true",
        "who says so",
        '"content": "What is a tier?"',
    ):
        assert words in page
    main(["explain", file("sampled", temperature=1)])
    assert "not cached (sampled)" in capsys.readouterr().out


def test_the_page_of_two_requests(file, capsys):
    main(["explain", file("a"), file("b", seed=5)])
    page = capsys.readouterr().out
    main(["explain", "a", file("c", n=None)])

    assert "Not the same call: 1 difference." in page
    assert any(line.split() == ["seed", "—", "5"] for line in page.splitlines())
    assert "The same call" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("a",), ("a", "b"), ("a", "c")])
def test_without_rich_the_same_is_said_in_plain_lines(arguments, file, capsys, monkeypatch):
    file("a"), file("b", seed=5), file("c", n=None)
    monkeypatch.setitem(sys.modules, "rich.console", None)

    assert main(["explain", *arguments]) == 0
    page = capsys.readouterr().out
    expected = {
        1: ["cacheable", "not in the key: stream (transport", "24 h"],
        2: ["seed: — / 5"] if arguments[-1] == "b" else ["The same call"],
    }
    assert all(words in page for words in expected[len(arguments)])


def test_standard_input(file, capsys, monkeypatch):
    file("a")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CALL).encode())))

    assert told(capsys, "a", "-")["same"]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("missing.json",), "missing.json cannot be read"),
        (("-", "-"), "standard input"),
        (("-",), "empty"),
        (("a", "--path", "/healthz"), "/v1/chat/completions"),
        (("a", "--header", "nothing"), "Name: value"),
        (("a", "--profile", "x"), "unknown argument"),
        (("broken",), "not valid JSON"),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_exit_code_2(arguments, advice, tmp_path):
    (tmp_path / "a").write_text(json.dumps(CALL))
    (tmp_path / "broken").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "tiered_cache.cli.main", "explain", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        env=environment(PYTHONPATH=str(ROOT)),
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert advice in done.stderr
    assert done.stderr.count("\n") == 1


def test_durations_are_as_people_say_them():
    said = [duration(seconds) for seconds in (7 * 86_400, 86_400, 3_600, 600, 90, 5, 0.5)]

    assert said == ["7 days", "24 h", "1 h", "10 min", "90 s", "5 s", "0.5 s"]


def test_long_values_are_shown_where_they_begin_to_differ():
    one, other = "a" * 500 + "b" + "x" * 100, "a" * 500 + "c"

    assert excerpts(one, other) == ("…" + "a" * 16 + "b" + "x" * 47 + "…", "…" + "a" * 16 + "c")
    assert excerpts("1", None) == ("1", "—")


def test_the_file_says_how_policies_and_omitted_models_are_meant(file, capsys):
    Path("gateway.toml").write_text(
        '[cache.policies]\nfast = "pool"\n[cache.default_models]\n"chat/completions" = "openai/gpt-4o-mini"\n'
    )
    assert told(capsys, file("a", model="policy/fast"))["reason"] == "policy-model"
    assert told(capsys, file("a", model="policy/fast"), "--config", "gateway.toml")["cacheable"]
    omitted = {name: value for name, value in CALL.items() if name != "model"}
    Path("omitted").write_text(json.dumps(omitted))
    assert told(capsys, "omitted", file("b"), "--config", "gateway.toml")["same"]


def test_a_file_that_cannot_be_used_is_one_line(file, capsys):
    Path("gateway.toml").write_text('[cache.policies]\n"policy/fast" = "pool"\n')
    assert main(["explain", file("a"), "--config", "gateway.toml"]) == 2
    assert "without policy/" in capsys.readouterr().err


def test_the_page_says_what_a_rule_has_the_key_overlook(file, capsys):
    Path("gateway.toml").write_text("[[cache.rules]]\ngives = { looser = ['fold', 'trim'] }\n")
    assert main(["explain", file("a"), "--config", "gateway.toml"]) == 0
    assert "overlooks  trim, fold" in capsys.readouterr().out
    other = file("b", messages=[{"role": "user", "content": "WHAT IS A TIER? "}])
    assert told(capsys, "a", other, "--config", "gateway.toml")["same"]
    assert not told(capsys, "a", other)["same"]
