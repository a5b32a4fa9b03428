"""An operator purges: by command and by HTTP, on one gateway, obeyed by two that share a Valkey."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.integration.gateway_process import SECRET, GatewayProcess, environment, until
from tiered_cache.simulation.process import SimulatedRequesty

TOKEN = "an admin token for these tests"
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "purge.md").read_text(encoding="utf-8")
MODEL = "openai/gpt-4o-mini"


def call(text: str) -> dict:
    return {"model": MODEL, "temperature": 0, "messages": [{"role": "user", "content": text}]}


@pytest.fixture
def nodes(redis_url, prefix, tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'[cache.redis]\nurl = "{redis_url}"\nprefix = "{prefix}"\nread_deadline_s = 5.0\nheartbeat_s = 0.2\n'
    )
    secrets = {"TIERED_CACHE_SECRET": SECRET, "TIERED_CACHE_ADMIN_TOKEN": TOKEN}
    with SimulatedRequesty() as origin:
        arguments = ("--upstream", origin.url, "--config", str(file))
        with GatewayProcess(*arguments, **secrets) as one, GatewayProcess(*arguments, **secrets) as two:
            yield one, two


def ask(node: GatewayProcess, text: str, **headers: str) -> str:
    """Cache-Status of the answer."""
    lines = {"authorization": "Bearer rqy_one", "content-type": "application/json", **headers}
    request = urllib.request.Request(f"{node.url}/chat/completions", json.dumps(call(text)).encode(), lines)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["cache-status"]


def known(nodes, *texts: str) -> None:
    """Ask until every node has the answers in memory, all from one call to the origin."""
    for text in texts:
        for node in nodes:
            until(
                lambda node=node, text=text: "detail=L1" in ask(node, text, **{"x-tiered-cache-tags": "red"})
            )


def purge(node: GatewayProcess, *words: str, typed: str = "", token: str = TOKEN, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tiered_cache.cli.main", "purge", "--gateway", node.base, *words],
        input=typed,
        env=environment(TIERED_CACHE_ADMIN_TOKEN=token),
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code in {0, 3} else done.stderr


def admin(node: GatewayProcess, path: str, order: dict | None = None) -> tuple[int, object]:
    request = urllib.request.Request(
        node.base + path,
        None if order is None else json.dumps(order).encode(),
        {"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, json.load(answer)


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("--everything",), {"one", "two"}),
        (("--model", MODEL), {"one", "two"}),
        (("--tag", "red", "--soft"), {"one", "two"}),
        (("--request", "-", "--header", "Authorization: Bearer rqy_one"), {"one"}),
        (("--request", "-", "--header", "Authorization: Bearer rqy_two"), set()),
        (("--model", "openai/gpt-4o"), set()),
    ],
    ids=["everything", "model", "tag", "request", "another-tenant", "another-model"],
)
def test_what_is_purged_on_one_gateway_is_gone_from_both(nodes, words, gone):
    known(nodes, "one", "two")
    said = purge(nodes[0], *words, typed=json.dumps(call("one"), indent=1))
    assert said.startswith("purged ")
    assert f": {len(gone)} in the memory of this gateway" in said
    for text in ("one", "two"):
        # The other node hears of it within milliseconds; it may not be asked before.
        first = [ask(node, text) for node in reversed(nodes)] if text not in gone else None
        if first is not None:
            assert all("detail=L1" in status for status in first)
        else:
            until(lambda text=text: "detail=L1" not in ask(nodes[1], text))


def test_a_dry_run_counts_and_keeps(nodes):
    known(nodes, "kept")
    assert purge(nodes[0], "--model", MODEL, "--dry-run").startswith(f"would purge model {MODEL}: 1 in")
    assert "detail=L1" in ask(nodes[0], "kept")
    assert admin(nodes[0], "/admin/purges")[1] == []


def test_the_trail_and_the_log_say_who_and_nothing_of_the_prompt(nodes):
    known(nodes, "a secret prompt")
    words = ("--request", "-", "--header", "Authorization: Bearer rqy_one", "--by", "ada")
    purge(nodes[0], *words, typed=json.dumps(call("a secret prompt")))
    _, trail = admin(nodes[0], "/admin/purges")
    assert [record["by"] for record in trail] == ["ada"]
    assert '"by":"ada"' in nodes[0].log
    assert "secret prompt" not in nodes[0].log + json.dumps(trail)


def test_what_cannot_be_purged_is_said(nodes):
    assert "never cached" in purge(nodes[0], "--request", "-", typed='{"messages":[]}', code=2)
    assert "admin token" in purge(nodes[0], "--everything", token="not the token of this gateway", code=2)
    assert "TIERED_CACHE_ADMIN_TOKEN" in purge(nodes[0], "--everything", token="", code=2)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        admin(nodes[0], "/admin/purge", {"what": {"tag": "x", "model": "y"}})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        admin(nodes[0], "/admin/purge", {"tag": "x"})


def test_without_redis_a_purge_is_obeyed_here_and_put_off_for_the_others(own_valkey, tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(f'[cache.redis]\nurl = "{own_valkey.url}"\nheartbeat_s = 0.1\n')
    secrets = {"TIERED_CACHE_SECRET": SECRET, "TIERED_CACHE_ADMIN_TOKEN": TOKEN}
    with (
        SimulatedRequesty() as origin,
        GatewayProcess("--upstream", origin.url, "--config", str(file), **secrets) as node,
    ):
        known([node], "one")
        own_valkey.kill()
        assert "obey when it is back" in purge(node, "--everything", code=3)
        assert admin(node, "/admin/purge", {"what": {"everything": True}})[0] == 202
        assert "hit" not in ask(node, "one")


def test_the_page_is_true(nodes, tmp_path):
    """Its commands are typed as they stand but for the address, its Python runs."""
    shell, curl = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    known(nodes, "one")
    (tmp_path / "request.json").write_text(json.dumps(call("one")))
    tool = f"{sys.executable} -m tiered_cache.cli.main purge --gateway {nodes[0].base}"
    for script in (
        shell.replace("tiered-cache purge", tool),
        curl.replace("http://127.0.0.1:8080", nodes[0].base).replace("curl -s", "curl -sf"),
    ):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment(TIERED_CACHE_ADMIN_TOKEN=TOKEN),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
        env=dict(os.environ),
    )
    assert (ran.stdout, ran.stderr) == ("0 entries here, done\n", "")
