"""Values that could only fail later are refused at the start: one line that says what to change, exit code 2."""

import math

import pytest

from tests.integration.test_cli import command, without_log
from tiered_cache.cli.main import main
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.checks import check_cache
from tiered_cache.engine.config import CacheConfig, DiskConfig, MemoryConfig, RedisConfig
from tiered_cache.errors import ConfigError
from tiered_cache.integrations.origin import HttpOrigin

SECRET = "a secret for these tests"
DIGEST = "0123456789abcdef" * 4


def redis(url: str = "redis://h", **values: float) -> CacheConfig:
    return CacheConfig(secret=SECRET, redis=RedisConfig(url=url, **values))


def disk(directory: str = "d", **values: float) -> CacheConfig:
    return CacheConfig(disk=DiskConfig(directory=directory, **values))


NEVER = [math.nan, math.inf, -math.inf, -1.0, 0.0]
REFUSED = [
    *[(disk(read_deadline_s=value), "disk_read_deadline_s") for value in NEVER],
    *[(disk(write_deadline_s=value), "disk_write_deadline_s") for value in NEVER],
    *[(redis(read_deadline_s=value), "redis_read_deadline_s") for value in NEVER],
    *[(redis(write_deadline_s=value), "redis_write_deadline_s") for value in NEVER],
    *[(CacheConfig(linger_s=value), "linger_s") for value in NEVER if value != 0.0],
    (CacheConfig(memory=MemoryConfig(capacity_bytes=-1)), "memory_capacity_bytes"),
    (disk(capacity_bytes=-1), "disk_capacity_bytes"),
    (CacheConfig(max_body_bytes=-1), "max_body_bytes"),
    (CacheConfig(max_body_values=-1), "max_body_values"),
    (CacheConfig(max_entry_bytes=-1), "max_entry_bytes"),
    (CacheConfig(pending_writes=-1), "pending_writes"),
    (CacheConfig(pending_write_bytes=-1), "pending_write_bytes"),
    (redis(max_value_bytes=-1), "redis_max_value_bytes"),
    (redis(compress_above_bytes=-1), "redis_compress_above_bytes"),
    *[(disk(directory), "directory") for directory in ("", " ", "a\0b")],
    *[
        (CacheConfig(tenants={digest: "acme"}), "SHA-256")
        for digest in ("", "abc", DIGEST.upper(), DIGEST + "0", DIGEST + "\n", "x" * 64)
    ],
    (CacheConfig(tenants={DIGEST: ""}), "empty"),
    (CacheConfig(policies={"policy/a": "pool"}), "without policy/"),
    (CacheConfig(policies={"": "pool"}), "without policy/"),
    (CacheConfig(policies={"a": "pooled"}), "policies.a: 'pooled'"),
    (CacheConfig(default_models={"chat": "a/b"}), "default_models: 'chat'"),
    (CacheConfig(default_models={"embeddings": ""}), "embeddings must not be empty"),
    *[
        (CacheConfig(generic_paths={path: 60}), "below the API base")
        for path in ("", "/ocr", "ocr/", "a//b", "a/../b", "..", "a?b", "a%2Fb", "a b", "é", "ocr\n")
    ],
    *[
        (CacheConfig(generic_paths={path: 60}), f"{path!r} cannot be told from {route}")
        for path, route in (
            ("chat/completions", "chat/completions"),
            ("completions", "chat/completions"),
            ("beta/embeddings", "embeddings"),
            ("generations", "images/generations"),
            ("audio/speech", "audio/speech"),
            ("threads/messages", "messages"),
        )
    ],
    *[(CacheConfig(generic_paths={"ocr": value}), "generic_paths.ocr") for value in (*NEVER, 2.0**31 + 1)],
    (CacheConfig(ignored_directives=("no_store",)), "ignored_directives: 'no_store'"),
    *[(CacheConfig(key_headers=(name,)), "key_headers") for name in ("", "a b", "é", "a:", "a\n")],
    *[
        (redis(url), "redis://host:6379/0")
        for url in (
            "",
            "nonsense",
            "http://h",
            "redis://h/notadb",
            "redis://h/0/1",
            "redis://h/-1",
            "redis://h/²",
            "redis://h:notaport",
            "redis://h:99999",
            "redis://h:0",
            "redis://[::1",
            "unix://",
            "unix:///",
        )
    ],
]


@pytest.mark.parametrize(("config", "named"), REFUSED)
async def test_what_can_never_work_is_refused_before_anything_opens(config, named):
    with pytest.raises(ConfigError, match=named):
        async with Cache.open(config):
            pass


@pytest.mark.parametrize(
    "config",
    [
        CacheConfig(),
        CacheConfig(linger_s=0, pending_writes=0, max_body_bytes=0, max_entry_bytes=0),
        CacheConfig(memory=MemoryConfig(capacity_bytes=0)),
        CacheConfig(memory=MemoryConfig(capacity_bytes=None)),
        CacheConfig(tenants={DIGEST: "acme"}, key_headers=("x-team", "X_Team")),
        disk(capacity_bytes=0),
        *[
            redis(url)
            for url in (
                "redis://h",
                "redis://h/",
                "redis://h:6379/15",
                "rediss://user:pass@h/0?ssl_cert_reqs=none",
                "redis://[::1]:6379",
                "unix:///run/redis.sock?db=2",
                "unix://user:pass@/run/redis.sock",
            )
        ],
    ],
)
def test_what_works_is_let_through(config):
    check_cache(config)


def test_a_password_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        check_cache(redis("redis://:s3cret@h/notadb"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["connect_timeout_s", "read_timeout_s"])
@pytest.mark.parametrize("value", NEVER)
def test_a_time_out_towards_the_origin_comes_some_time(name, value):
    with pytest.raises(ConfigError, match=name):
        HttpOrigin("http://origin.example/v1", **{name: value})


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://origin.example:99999/v1", "port"),
        ("http://origin.example:0/v1", "port"),
        ("http://a b/v1", "spaces"),
        ("http://origin.example/a b", "spaces"),
    ],
)
def test_an_upstream_that_is_nowhere_is_refused(url, named):
    with pytest.raises(ConfigError, match=named):
        HttpOrigin(url)


@pytest.mark.parametrize("verb", [("serve", "--port", "0"), ("replay", "trace.csv")])
def test_a_file_nested_without_end_is_one_line_and_exit_code_2(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trace.csv").write_text("ts_ms,key_id,prompt_tokens,output_tokens\n")
    (tmp_path / "c.toml").write_text("a=" + "[" * 5000 + "]" * 5000)
    assert main([*verb, "--config", "c.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "c.toml: its values are nested too deeply" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--upstream", "http://127.0.0.1:99999/v1"), "port"),
        (("--upstream", "http://a b/v1"), "spaces"),
        (("--disk", ""), "--disk"),
        (("--redis", "redis://h/notadb"), "redis://host"),
        (("--redis", "unix://"), "redis://host"),
    ],
)
def test_the_command_line_says_so_in_one_line(arguments, named):
    done = command("serve", "--port", "0", *arguments, TIERED_CACHE_SECRET=SECRET)
    (line,) = without_log(done.stderr).splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert named in line
