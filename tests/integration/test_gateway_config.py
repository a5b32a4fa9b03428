"""The operator's configuration: what is wrong is named, and what to do about it."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tiered_cache.engine.build import build
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.engine.config import CacheConfig, DiskConfig, RedisConfig
from tiered_cache.errors import ConfigError
from tiered_cache.gateway.config import (
    GatewayConfig,
    check,
    is_loopback,
    read_config,
    with_environment,
)
from tiered_cache.integrations.requesty import GLOBAL_URL

DIGEST = "a" * 64


def test_an_empty_file_is_the_defaults():
    assert read_config(b"", "x.toml") == GatewayConfig()


def test_everything_can_be_set_in_the_file():
    toml = b"""
        upstream = "https://router.eu.requesty.ai/v1"
        port = 0
        max_body_bytes = "unlimited"
        [client_keys]
        %b = "acme"
        [cache]
        profile = "strict"
        [cache.memory]
        capacity_bytes = 0
        [cache.redis]
        url = "redis://localhost"
        [cache.tenants]
        abc = "acme"
    """ % DIGEST.encode()
    config = read_config(toml, "x.toml")
    assert (config.port, config.body_limit_bytes, config.cache.memory.capacity_bytes) == (0, None, 0)
    assert config.cache.redis == RedisConfig(url="redis://localhost")
    assert config.client_keys == {DIGEST: "acme"}


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        (b"port = 'x'", "$.port"),
        (b"prot = 1", "`prot`"),
        (b"[cache]\nprofile = 'bold'", "$.cache.profile"),
        (b"[cache.memory]\nsize = 1", "`size`"),
        (b"[cache.redis]\n", "`url`"),
        (b"port = ", "end of document"),
        (b"\xff\xfe", "x.toml"),
        (b"upstream_key = 'rqy_secret'", "REQUESTY_API_KEY"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_in_one_line_without_secrets(toml, named):
    with pytest.raises(ConfigError, match=re.escape(named)) as caught:
        read_config(toml, "x.toml")
    message = str(caught.value)
    assert message.startswith("x.toml: ")
    assert "\n" not in message
    assert "rqy_secret" not in message


def test_the_environment_holds_the_secrets_and_empty_is_not_set():
    variables = {"TIERED_CACHE_SECRET": "s" * 16, "REQUESTY_API_KEY": "rqy"}
    config = with_environment(GatewayConfig(cache=CacheConfig(secret="file")), variables)
    assert (config.cache.secret, config.upstream_key, config.injects) == ("s" * 16, "rqy", True)
    empty = with_environment(GatewayConfig(cache=CacheConfig(secret="file")), {"TIERED_CACHE_SECRET": ""})
    assert (empty.cache.secret, empty.injects) == ("file", False)


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        (GatewayConfig(upstream="router.requesty.ai/v1"), "--upstream"),
        (GatewayConfig(upstream="ftp://host/v1"), "--upstream"),
        (GatewayConfig(upstream="https://"), "--upstream"),
        (GatewayConfig(upstream="https://user:pw@host/v1"), "no query"),
        (GatewayConfig(upstream="https://host/v1?key=1"), "no query"),
        (GatewayConfig(port=65536), "65535"),
        (GatewayConfig(port=-1), "65535"),
        (GatewayConfig(drain_s=-1), "drain_s"),
        (GatewayConfig(max_body_bytes=-1), "unlimited"),
        (GatewayConfig(connect_timeout_s=0), "above zero"),
        (GatewayConfig(client_keys={"short": "acme"}, upstream_key="k"), "64 lower-case hex"),
        (GatewayConfig(client_keys={"A" * 64: "acme"}, upstream_key="k"), "64 lower-case hex"),
        (GatewayConfig(client_keys={DIGEST: "acme"}), "REQUESTY_API_KEY"),
        (
            GatewayConfig(client_keys={DIGEST: "acme"}, upstream_key="k", credentials="pass"),
            "REQUESTY_API_KEY",
        ),
        (GatewayConfig(credentials="inject"), "REQUESTY_API_KEY"),
        (GatewayConfig(host="0.0.0.0", upstream_key="k"), "client_keys"),
        (GatewayConfig(host="gateway.example", upstream_key="k"), "client_keys"),
        (GatewayConfig(cache=CacheConfig(redis=RedisConfig(url="redis://h"))), "TIERED_CACHE_SECRET"),
    ],
)
def test_what_cannot_be_served_says_what_to_change(config, advice):
    with pytest.raises(ConfigError, match=advice):
        check(config)


@pytest.mark.parametrize(
    "config",
    [
        GatewayConfig(),
        GatewayConfig(port=0, drain_s=0, max_body_bytes=0),
        GatewayConfig(host="0.0.0.0"),
        GatewayConfig(host="0.0.0.0", upstream_key="k", client_keys={DIGEST: "acme"}),
        GatewayConfig(host="0.0.0.0", upstream_key="k", credentials="pass"),
        GatewayConfig(host="::1", upstream_key="k"),
        GatewayConfig(cache=CacheConfig(secret="s", redis=RedisConfig(url="redis://h"))),
    ],
)
def test_what_can_be_served_is_returned_unchanged(config):
    assert check(config) is config


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("::", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host, loopback):
    assert is_loopback(host) is loopback


SECRETS = GatewayConfig(
    upstream="https://user:hunter2@host/v1",
    upstream_key="rqy_hunter2",
    port=70000,
    cache=CacheConfig(
        secret="hunter2",
        redis=RedisConfig(url="rediss://user:hunter2@h/0?password=hunter2&db=1"),
    ),
)


@pytest.mark.parametrize("config", [SECRETS, SECRETS.cache, SECRETS.cache.redis])
def test_no_secret_is_seen_when_a_configuration_is_printed(config):
    rich = StringIO()
    Console(file=rich, width=200).print(config)
    for shown in (repr(config), str(config), f"{[config]}", rich.getvalue()):
        assert "hunter2" not in shown
        assert "@h/0?password=***&db=1" in shown


def test_a_configuration_without_secrets_is_printed_as_ever():
    assert repr(RedisConfig(url="redis://h/0", prefix="x")).startswith(
        "RedisConfig(url='redis://h/0', prefix='x', "
    )
    assert "secret=None" in repr(CacheConfig())
    assert "upstream='https://host/v1'" in repr(GatewayConfig(upstream="https://host/v1"))
    assert "upstream_key=UNSET" in repr(GatewayConfig())


def test_no_secret_is_in_what_is_said_of_a_bad_configuration():
    told = []
    for wrong in (
        lambda: check(SECRETS),
        lambda: check(GatewayConfig(upstream_key="rqy_hunter2", host="0.0.0.0")),
        lambda: build(SECRETS.cache, SYSTEM_CLOCK),
        lambda: build(CacheConfig(secret="s" * 16, redis=RedisConfig(url="hunter2://hunter2")), SYSTEM_CLOCK),
        lambda: read_config(b"[cache]\nsecret = 'hunter2'\nsecret = 'hunter2'", "x.toml"),
        lambda: read_config(b"[cache.redis]\nurl = ['redis://:hunter2@h']", "x.toml"),
    ):
        with pytest.raises(ConfigError) as caught:
            wrong()
        told.append(str(caught.value))
    assert all(told)
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize("directory", ["~/entries", "$PLACE/entries"])
def test_the_secret_and_the_entries_are_in_one_place(tmp_path, monkeypatch, directory):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    parts = build(CacheConfig(disk=DiskConfig(directory=directory)), SYSTEM_CLOCK)
    assert Path(parts.config.disk.directory) == tmp_path / "entries"
    assert [path.name for path in tmp_path.iterdir()] == ["entries"]
    assert (tmp_path / "entries" / "secret").exists()


def test_a_missing_secret_is_explained_to_programs_and_to_operators():
    with pytest.raises(ConfigError, match=r"CacheConfig\(secret=…\).*TIERED_CACHE_SECRET"):
        build(CacheConfig(redis=RedisConfig(url="redis://h")), SYSTEM_CLOCK)


def test_requestys_addresses_stand_in_one_place():
    assert GatewayConfig().upstream == GLOBAL_URL
    assert modules_with("router.requesty.ai") == {"integrations/requesty.py"}


def test_the_credential_fields_stand_in_one_place():
    assert modules_with('b"x-goog-api-key"') == {"engine/credentials.py"}


def modules_with(text: str) -> set[str]:
    """Modules of the engine, the integrations and the gateway in whose code (docstrings apart) a text is."""
    root = Path(__file__).parents[2] / "tiered_cache"
    lines = re.compile(rf"^(\w+ = |.*frozenset).*{re.escape(text)}", re.MULTILINE)
    return {
        path.relative_to(root).as_posix()
        for package in ("engine", "integrations", "gateway")
        for path in (root / package).glob("*.py")
        if lines.search(path.read_text())
    }
