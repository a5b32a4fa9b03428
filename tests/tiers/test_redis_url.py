"""Addresses of Redis as they are read."""

import pytest

from tiered_cache.errors import ConfigError
from tiered_cache.tiers.redis_url import RedisAddress, read_redis_url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://h", RedisAddress("server", (("h", 6379),), "redis://h:6379/")),
        (
            "rediss://me:pa%2Fss@h:1/2?ssl_cert_reqs=none",
            RedisAddress("server", (("h", 1),), "rediss://me:pa%2Fss@h:1/2?ssl_cert_reqs=none"),
        ),
        ("redis://[::1]:7/", RedisAddress("server", (("::1", 7),), "redis://[::1]:7/")),
        ("unix:///s?db=2", RedisAddress("server", (), "unix:///s?db=2")),
        (
            "redis+sentinel://me:pw@a,b:1/main/3",
            RedisAddress("sentinel", (("a", 26379), ("b", 1)), "redis://me:pw@a:26379/3", "main"),
        ),
        (
            "rediss+sentinel://a/main",
            RedisAddress("sentinel", (("a", 26379),), "rediss://a:26379/", "main"),
        ),
        (
            "redis+cluster://me:pw@a,b:1",
            RedisAddress("cluster", (("a", 6379), ("b", 1)), "redis://me:pw@a:6379/"),
        ),
        ("rediss+cluster://a/0", RedisAddress("cluster", (("a", 6379),), "rediss://a:6379/0")),
    ],
)
def test_what_is_read(text, address):
    assert read_redis_url(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "redis+sentinel://pa55@a",  # which service?
        "redis+sentinel://pa55@a/main/x",
        "redis+cluster://pa55@a/1",  # a cluster has one database
        "redis+cluster://pa55@a?db=1",
        "redis+cluster://pa55@a,",
        "redis+cluster://",
        "redis+other://pa55@a",
        "redis+://pa55@a",
        "unix+cluster:///pa55",
        "redis://pa55@a,b",  # one server has one host
        "redis://a:pa55",
        "redis://h?db=pa55",
    ],
)
def test_what_is_refused_without_being_repeated(text):
    with pytest.raises(ConfigError) as caught:
        read_redis_url(text)
    assert "pa55" not in str(caught.value)
    assert caught.value.__cause__ is None
