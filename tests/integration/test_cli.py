"""The command line: what the operator can mend is one line that says what to do, exit code 2."""

import argparse
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.gateway_process import GatewayProcess, environment
from tiered_cache.cli.arguments import seconds, size_bytes
from tiered_cache.cli.main import VERBS, main
from tiered_cache.cli.serve import configured


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tiered_cache.cli.main", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(**variables),
    )


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ((), "--help"),
        (("srv",), "serve"),
        (("serve", "--prot", "1"), "unknown argument --prot"),
        (("serve", "extra"), "unknown argument extra"),
        (("serve", "--port", "http"), "--port"),
        (("serve", "--port", "70000"), "65535"),
        (("serve", "--memory", "lots"), "512MiB"),
        (("serve", "--drain", "-1"), "--drain"),
        (("serve", "--eu", "--upstream", "http://h/v1"), "not allowed with"),
        (("serve", "--upstream", "router.requesty.ai"), "--upstream"),
        (("serve", "--redis", "redis://127.0.0.1:1"), "TIERED_CACHE_SECRET"),
        (("serve", "--credentials", "inject"), "REQUESTY_API_KEY"),
        (("serve", "--host", "no.such.host.invalid"), "--host"),
        (("serve", "--config", "no-such-file.toml"), "no-such-file.toml"),
        (("serve", "--disk", "/proc/no/such/place"), "directory"),
    ],
)
def test_what_the_operator_can_mend_is_one_line_and_exit_code_2(arguments, advice):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert advice in done.stderr
    assert re.fullmatch(r"tiered-cache[^\n]*\n", without_log(done.stderr))


def without_log(text: str) -> str:
    """The error output without dated log lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(r"\d{4}-", line))


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port)
    assert done.returncode == 2
    assert port in done.stderr
    assert "--port" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("toml", "named"),
    [("port = ", "gateway.toml"), ("[cache]\nprofil = 'x'", "profil"), ("port = 'x'", "$.port")],
)
def test_a_bad_file_is_named_with_the_place_in_it(tmp_path, toml, named):
    file = tmp_path / "gateway.toml"
    file.write_text(toml)
    done = command("serve", "--config", str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert named in done.stderr


def test_an_upstream_key_is_not_spent_for_the_whole_network():
    done = command("serve", "--host", "0.0.0.0", "--port", "0", REQUESTY_API_KEY="rqy_secret")
    assert done.returncode == 2
    assert "client_keys" in done.stderr
    assert "rqy_secret" not in done.stderr


def test_a_short_secret_is_refused():
    done = command("serve", "--port", "0", TIERED_CACHE_SECRET="short")
    assert done.returncode == 2
    assert "secret" in done.stderr
    assert done.stderr.count("\n") == 1 + done.stderr.count(" INFO ")


def test_the_version_and_every_verb_are_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"tiered-cache \d+\.\d+\.\d+\n", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)


def test_looking_for_help_loads_no_http_stack():
    code = (
        "import sys\nfrom tiered_cache.cli.main import main\n"
        "try: main(['serve', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'uvicorn', 'httpx2', 'redis', 'prometheus_client', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=30)


class TestFlagsOverFile:
    """Flags win over the file, the environment holds the secrets."""

    def parsed(self, monkeypatch, *arguments: str):
        for name in ("TIERED_CACHE_SECRET", "REQUESTY_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        taken = []
        monkeypatch.setattr("tiered_cache.cli.serve.run", lambda args: taken.append(configured(args)) or 0)
        assert main(["serve", *arguments]) == 0
        return taken[0]

    def test_without_flags_the_defaults_hold(self, monkeypatch):
        config = self.parsed(monkeypatch)
        assert (config.host, config.port, config.drain_s) == ("127.0.0.1", 8080, 30)
        assert config.upstream == "https://router.requesty.ai/v1"
        assert config.cache.memory.capacity_bytes == 256 * 2**20

    def test_a_flag_changes_its_own_setting_alone(self, monkeypatch, tmp_path):
        file = tmp_path / "gateway.toml"
        file.write_text(
            'port = 1\ndrain_s = 7\n[cache]\nsecret = "s"\n[cache.redis]\nurl = "redis://a"\nprefix = "mine"\n'
        )
        config = self.parsed(
            monkeypatch, "--config", str(file), "--port", "0", "--redis", "redis://b", "--drain", "0"
        )
        assert (config.port, config.drain_s) == (0, 0)
        assert (config.cache.redis.url, config.cache.redis.prefix) == ("redis://b", "mine")

    def test_eu_and_sizes(self, monkeypatch):
        config = self.parsed(monkeypatch, "--eu", "--memory", "0", "--max-body", "unlimited")
        assert config.upstream == "https://router.eu.requesty.ai/v1"
        assert (config.cache.memory.capacity_bytes, config.body_limit_bytes) == (0, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1b", 1),
        ("2k", 2048),
        ("2KB", 2048),
        ("2KiB", 2048),
        ("3 MiB", 3 * 2**20),
        ("1g", 2**30),
        ("unlimited", None),
    ],
)
def test_sizes_are_read(text, size):
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5g", "k", "1kk", "1 2", "ib", "1ib", "1bb"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        size_bytes(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x"])
def test_what_is_no_number_of_seconds_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_a_gateway_on_ipv6_says_how_it_is_reached():
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with GatewayProcess("--host", "::1", "--upstream", "http://127.0.0.1:1/v1") as gateway:
        assert gateway.base.startswith("http://[::1]:")
        assert '"ok"' in gateway.get("/healthz")
