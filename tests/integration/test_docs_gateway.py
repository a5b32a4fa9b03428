"""The gateway's pages say what the program does: snippets run, tables are complete."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.integration.gateway_kit import JSON, KEY, Upstream, ask, chat, gateway
from tests.integration.gateway_process import GatewayProcess
from tiered_cache.cli.serve import register
from tiered_cache.gateway.config import GatewayConfig, check, read_config, with_environment
from tiered_cache.simulation.process import SimulatedRequesty

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "gateway.md").read_text()
METRICS = (DOCS / "reference" / "metrics.md").read_text()
HOW_TO = (DOCS / "how-to" / "run-the-gateway.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def first_cells(page: str, heading: str) -> set[str]:
    """What stands in backquotes in the first column of the tables under a heading."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        word
        for row in re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }


@pytest.mark.parametrize("toml", blocks(REFERENCE, "toml") + blocks(HOW_TO, "toml"))
def test_every_file_shown_can_be_served(toml):
    config = read_config(toml.encode(), "page")
    check(with_environment(config, {"REQUESTY_API_KEY": "rqy"} if config.client_keys else {}))


def test_every_flag_is_in_the_table_and_every_command_shown_is_understood():
    verbs = argparse.ArgumentParser(exit_on_error=False).add_subparsers()
    register(verbs)
    parser = verbs.choices["serve"]
    flags = {action.option_strings[-1] for action in parser._actions} - {"--help"}
    assert {word.split()[0] for word in first_cells(REFERENCE, "Flags") if word.startswith("--")} == flags
    commands = re.findall(r"^tiered-cache serve (.*)$", "".join(blocks(HOW_TO, "sh")), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        parser.parse_args(command.split())


def test_every_setting_is_in_the_table_with_its_default():
    fields = {field.name: field for field in msgspec.structs.fields(GatewayConfig)}
    del fields["upstream_key"]  # from the environment alone
    assert first_cells(REFERENCE, "Settings of the file") == set(fields)
    for name in ("upstream", "host", "port", "credentials", "max_body_bytes", "drain_s", "log_level"):
        assert f"| `{name}` | `{fields[name].default}` |" in REFERENCE


async def test_the_metrics_in_the_table_are_those_on_the_page():
    async with gateway(Upstream()) as app:
        await ask(app, chat())
        await ask(app, chat())
        await ask(app, chat(temperature=1.5))
        app._cache.ledger.count("refused", "finish-reason")
        page = (await ask(app, method="GET", path="/metrics", headers=(KEY, JSON))).body.decode()
    shown = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    told = first_cells(REFERENCE, "Metrics")
    assert told - shown == set(), "the gateway does not show it"
    assert shown - told <= first_cells(METRICS, "Counters by event"), "on neither page"


def test_the_sdk_snippet_hits_at_its_second_call():
    (code,) = blocks(HOW_TO, "python")
    with SimulatedRequesty() as requesty, GatewayProcess("--upstream", requesty.url) as node:
        code = code.replace("http://127.0.0.1:8080/v1", node.url)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert re.search("fwd=uri-miss.*stored", first)
    assert re.search("hit.*detail=L1", second)
