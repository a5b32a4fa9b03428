"""Clusters, Sentinels, TLS and users: the contract on each, and what happens when servers change places."""

import asyncio
import contextlib
import gc
import re
import time
import weakref
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot
from redis.exceptions import ResponseError

from tests.tiers.flight_contract import FlightContract, claim_of, flight_board, listening
from tests.tiers.redis_contract import RedisContract, redis_tier
from tests.tiers.tls_front import tls_front
from tiered_cache.core.claims import FollowedBy, Frame
from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.errors import ConfigError, TierUnavailableError
from tiered_cache.simulation.topologies import command
from tiered_cache.testing import sample_key, sample_sealed
from tiered_cache.tiers import redis_names
from tiered_cache.tiers.guard import GuardedTier

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "redis.md"
KEY = sample_key(1)
KEYS = [sample_key(number) for number in range(120)]


@contextlib.asynccontextmanager
async def opened(url, prefix="tc", **options):
    tier = redis_tier(url, prefix, **options)
    try:
        yield tier
    finally:
        await tier.close()


async def until(check, timeout_s=20.0):
    """Wait until `await check()` is true and no tier says otherwise."""
    async with asyncio.timeout(timeout_s):
        while True:
            with contextlib.suppress(TierUnavailableError):
                if await check():
                    return
            await asyncio.sleep(0.02)


async def all_stored(tier):
    await asyncio.gather(*(tier.put(key, sample_sealed(key, key)) for key in KEYS))
    found = await asyncio.gather(*(tier.get(key) for key in KEYS))
    return [one.sealed.entry.body if one else None for one in found] == KEYS


# A cluster


class TestCluster(RedisContract):
    @pytest.fixture
    def url(self, cluster):
        return cluster.url

    def client(self):
        host, _, port = self.url.removeprefix("redis+cluster://").partition(",")[0].partition(":")
        return RedisCluster(host=host, port=int(port), driver_info=None)


class TestClusterWithoutHiredisInRespThree(TestCluster):
    protocol = 3


class TestFlightsInACluster(FlightContract):
    @pytest.fixture
    def url(self, cluster):
        return cluster.url


async def test_news_cross_the_nodes_of_a_cluster(cluster, prefix):
    """The flight is on each node in turn, and both processes listen on one."""
    leader, follower = flight_board(cluster.url, prefix), flight_board(cluster.url, prefix)
    try:
        async with listening(leader) as at_leader, listening(follower) as at_follower:
            seen = set()
            for key in KEYS[:30]:
                first = claim_of(leader, key=key)
                await leader.claim(first)
                await follower.claim(claim_of(follower, key=key))
                await at_leader.hears(FollowedBy(first.token))
                await leader.append(key, first.token, 0, b"zero", 1000)
                await at_follower.hears(Frame(first.token, 0, b"zero"))
                seen.add(id(leader._place.node_of(redis_names.flights_name(prefix.encode(), key))))
    finally:
        await leader.close()
        await follower.close()
    assert len(seen) == 3


async def test_news_are_heard_again_when_the_node_that_told_them_is_gone(own_cluster, prefix):
    board = flight_board(own_cluster.url, prefix, write_timeout_s=1.0)
    try:
        subscribed = asyncio.Event()
        waiting = asyncio.create_task(anext(board.news(0.2, subscribed.set)))
        await asyncio.wait_for(subscribed.wait(), 10.0)
        own_cluster.servers[key_slot(board._channel) * 3 // 16_384].kill()
        with pytest.raises(TierUnavailableError):
            await asyncio.wait_for(waiting, 10.0)

        async def hears_again():
            async with listening(board) as news:
                first = claim_of(board, modes=(board.token(),))
                await board.claim(first)
                await board.claim(claim_of(board, modes=first.modes))
                await news.hears(FollowedBy(first.token))
                return True

        await until(hears_again)
    finally:
        await board.close()


async def test_entries_are_spread_over_the_nodes_and_each_has_one_slot(cluster, prefix):
    async with opened(cluster.url, prefix) as tier:
        assert await all_stored(tier)
        holding = [command(server, "DBSIZE") for server in cluster.servers[:3]]
        names = [tier.key_name(key) for key in KEYS]
        await tier.clear()
        assert await tier.get(KEY) is None
    assert all(count > 10 for count in holding)
    assert {key_slot(name) for name in names} == {key_slot(name[name.index(b"{") :]) for name in names}


async def test_lookups_of_one_moment_are_grouped_by_node(own_cluster, prefix):
    async with opened(own_cluster.url, prefix) as tier:
        assert await tier.get(KEY) is None
        for server in own_cluster.servers:
            command(server, "CONFIG", "RESETSTAT")
        await asyncio.gather(*(tier.get(key) for key in KEYS))
        reads, times = (
            [calls(server, name) for server in own_cluster.servers[:3]] for name in ("getrange", "time")
        )
    assert sum(reads) == len(KEYS)
    assert min(reads) > 10
    assert max(times) <= 3


def calls(server, name):
    """How often a server was given a command."""
    stats = command(server, "INFO", "commandstats").decode()
    found = re.search(rf"cmdstat_{name}:calls=(\d+)", stats)
    return 0 if found is None else int(found[1])


async def test_each_node_has_a_handful_of_connections(own_cluster, prefix):
    async with opened(own_cluster.url, prefix) as tier:
        for _ in range(5):
            assert await all_stored(tier)
        clients = [
            command(server, "CLIENT", "LIST", "TYPE", "normal").count(b" addr=")
            for server in own_cluster.servers
        ]
    assert max(clients) <= 4  # three of ours, and the one that counts


async def test_a_slot_that_moves_is_counted_misses_and_is_then_found_at_its_new_node(own_cluster, prefix):
    """ASK while it moves, MOVED when it has moved."""
    async with opened(own_cluster.url, prefix) as tier:
        slot = key_slot(tier.key_name(KEY))
        source = slot * 3 // 16_384
        target = (source + 1) % 3
        assert await tier.get(KEY) is None
        own_cluster.migrate(slot, source, target)
        with pytest.raises(TierUnavailableError, match="ASK"):
            await tier.get(KEY)
        own_cluster.assign(slot, target)
        with pytest.raises(TierUnavailableError, match="MOVED"):
            await tier.get(KEY)

        async def is_kept():
            await tier.put(KEY, sample_sealed(KEY))
            return await tier.get(KEY) is not None

        await until(is_kept)
        assert command(own_cluster.servers[target], "EXISTS", tier.key_name(KEY)) == 1


@pytest.mark.parametrize("how", ["takeover", "kill"])
async def test_a_failover_under_load_fails_no_call_lies_to_none_and_ends(own_cluster, prefix, how):
    """Behind the guard: every lookup is the key's own entry or None; then all of it works again."""
    wrong, answered, stop = [], 0, False

    async def traffic(tier, number):
        nonlocal answered
        key = KEYS[number]
        while not stop:
            await tier.put(key, sample_sealed(key, key))
            found = await tier.get(key)
            if found is not None:
                answered += 1
                wrong.extend([key] if found.sealed.entry.body != key else [])
            await asyncio.sleep(0.005)

    async with opened(own_cluster.url, prefix, read_timeout_s=0.5, write_timeout_s=1.0) as inner:
        tier = guarded(inner)
        assert await all_stored(inner)
        load = asyncio.gather(*(traffic(tier, number) for number in range(20)))
        await asyncio.sleep(0.2)
        if how == "takeover":
            own_cluster.fail_over(0)
        else:
            own_cluster.servers[0].kill()
        await until(lambda: asyncio.to_thread(own_cluster.has_failed_over, 0))
        began_s = time.monotonic()
        await until(lambda: all_stored(tier))
        recovered_s = time.monotonic() - began_s
        before, stop = answered, True
        await load
        assert await all_stored(inner)
    assert wrong == []
    assert before > 0
    assert recovered_s < 8.0, "the promise is 2 s on a machine that is not shared"


def guarded(inner):
    return GuardedTier(
        inner, read_deadline_s=0.5, write_deadline_s=1.0, part_of=inner.part_of, clock=SYSTEM_CLOCK
    )


async def test_while_one_node_is_gone_for_good_the_keys_of_the_others_are_found(own_cluster, prefix):
    """Nobody takes its slots: its breaker opens, and those of the other nodes do not."""
    async with opened(own_cluster.url, prefix, read_timeout_s=0.5) as inner:
        tier = guarded(inner)
        assert await all_stored(tier)
        gone = own_cluster.servers[0]
        own_cluster.servers[3].kill()
        gone.kill()
        lost = [key for key in KEYS if is_of_the_first_node(inner, key)]
        kept = [key for key in KEYS if key not in lost]
        assert min(len(lost), len(kept)) > 10

        async def is_left_alone():
            await asyncio.gather(*(tier.get(key) for key in lost))
            return tier.health().state != "closed"

        await until(is_left_alone)
        for _ in range(20):
            assert all(await asyncio.gather(*(tier.get(key) for key in kept)))
            assert not any(await asyncio.gather(*(tier.get(key) for key in lost)))
        await tier.put(kept[0], sample_sealed(kept[0], b"new"))
        assert tier.last_write_fault is None
        gone.start()
        await until(lambda: all_stored(tier))
        assert tier.health().state == "closed"
        await tier.close()


def is_of_the_first_node(tier, key):
    return key_slot(tier.key_name(key)) <= 16_384 // 3


async def test_what_is_remembered_of_a_node_goes_with_its_slots(own_cluster, prefix):
    async with opened(own_cluster.url, prefix) as tier:
        assert tier.part_of(KEY) is None  # nobody has been asked yet
        assert await all_stored(tier)
        lost = next(key for key in KEYS if is_of_the_first_node(tier, key))
        kept = next(key for key in KEYS if not is_of_the_first_node(tier, key))
        former, same = weakref.ref(tier.part_of(lost)), tier.part_of(kept)
        assert former() is not same
        own_cluster.fail_over(0)
        await until(lambda: all_stored(tier))
        gc.collect()
        assert former() is None
        assert tier.part_of(kept) is same


async def test_one_server_has_no_parts(redis_url, prefix):
    async with opened(redis_url, prefix) as tier:
        assert tier.part_of is None


async def test_a_cluster_that_was_restarted_empty_is_used_again(own_cluster, prefix):
    async with opened(own_cluster.url, prefix) as tier:
        assert await all_stored(tier)
        for server in own_cluster.servers:
            server.kill()
        with pytest.raises(TierUnavailableError):
            await tier.get(KEY)
        for server in own_cluster.servers:
            server.start()
        await until(lambda: all_stored(tier))


async def test_a_single_server_is_no_cluster(redis_url, prefix):
    async with opened("redis+cluster://127.0.0.1:1", prefix) as tier:
        for call in (tier.get(KEY), tier.put(KEY, sample_sealed(KEY)), tier.remove(KEY), tier.clear()):
            with pytest.raises(TierUnavailableError, match="no node"):
                await call


# A pair watched by a Sentinel


async def test_the_primary_that_the_sentinel_names_is_used_and_after_a_failover_the_other_one(
    sentinel, prefix
):
    async with opened(sentinel.url, prefix, write_timeout_s=1.0) as tier:
        assert await all_stored(tier)
        assert command(sentinel.servers[0], "DBSIZE") == len(KEYS)
        sentinel.servers[0].kill()
        with pytest.raises(TierUnavailableError):
            await tier.put(KEY, sample_sealed(KEY))
        await until(lambda: all_stored(tier), timeout_s=30.0)
    assert command(sentinel.servers[1], "ROLE")[0] == b"master"


async def test_a_primary_that_was_demoted_is_left(sentinel, prefix):
    """It still answers, and says READONLY to writes: the Sentinel is asked anew."""
    async with opened(sentinel.url, prefix, write_timeout_s=1.0) as tier:
        assert await all_stored(tier)
        await until(lambda: asyncio.to_thread(may_promote, sentinel), timeout_s=30.0)
        await until(lambda: asyncio.to_thread(is_primary, sentinel.servers[1]), timeout_s=30.0)
        await until(lambda: all_stored(tier))
        await tier.put(KEY, sample_sealed(KEY, b"new"))
    assert command(sentinel.servers[1], "EXISTS", tier.key_name(KEY)) == 1


def may_promote(sentinel):
    """Whether the Sentinel begins; at first it has not heard enough of the replica."""
    try:
        return command(sentinel.sentinel, "SENTINEL", "FAILOVER", "main") == b"OK"
    except ResponseError:
        return False


def is_primary(server):
    return command(server, "ROLE")[0] == b"master"


async def test_sentinels_that_are_not_there_are_unavailable(prefix):
    async with opened("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", prefix) as tier:
        with pytest.raises(TierUnavailableError):
            await tier.get(KEY)


# TLS


class TestTls(RedisContract):
    @pytest.fixture
    async def url(self, redis_url, tmp_path):
        async with tls_front(redis_url, tmp_path) as (port, ca_file):
            self.ca_file = ca_file
            yield f"rediss://localhost:{port}/0"

    def client(self):
        return Redis.from_url(self.url, driver_info=None, ssl_ca_certs=self.ca_file)

    def options(self):
        return {"ca_file": self.ca_file}


async def test_a_server_whose_certificate_nobody_signed_is_not_talked_to(redis_url, prefix, tmp_path):
    async with (
        tls_front(redis_url, tmp_path) as (port, _),
        opened(f"rediss://localhost:{port}", prefix) as tier,
    ):
        with pytest.raises(TierUnavailableError):
            await tier.put(KEY, sample_sealed(KEY))


async def test_a_certificate_for_another_name_is_refused(redis_url, prefix, tmp_path):
    async with (
        tls_front(redis_url, tmp_path, "elsewhere.test") as (port, ca_file),
        opened(f"rediss://localhost:{port}", prefix, ca_file=ca_file) as tier,
    ):
        with pytest.raises(TierUnavailableError):
            await tier.get(KEY)


def test_certificates_that_cannot_be_read_are_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="certificates"):
        redis_tier("rediss://h", ca_file=str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="rediss"):
        redis_tier("redis://h", ca_file=str(tmp_path / "missing"))


# Users

COMMANDS = "+getrange +time +evalsha +eval +set +unlink +scan +ping"
"""What a user of the tier needs, as the documentation says."""


async def test_a_user_with_these_commands_on_these_keys_can_do_everything(own_valkey, prefix):
    async with Redis.from_url(own_valkey.url, driver_info=None) as admin:
        rules = f"on >pa55 ~{prefix}:* {COMMANDS}".split()
        await admin.execute_command("ACL", "SETUSER", "cache", *rules)
        path = own_valkey.url.removeprefix("unix://")
        async with opened(f"unix://cache:pa55@{path}", prefix) as tier:
            assert await all_stored(tier)
            await tier.remove(KEY)
            await tier.ping()
            await tier.clear()
            assert await tier.get(KEYS[1]) is None
        async with opened(f"unix://cache:pa55@{path}", "other") as stranger:
            with pytest.raises(TierUnavailableError, match="NOPERM"):
                await stranger.get(KEY)
        async with opened(f"unix://cache:wrong@{path}", prefix) as stranger:
            with pytest.raises(TierUnavailableError) as caught:
                await stranger.get(KEY)
    assert "wrong" not in str(caught.value)


class TestFlightsOfAUser(FlightContract):
    """The user of the page about Redis: every command of every script is among those it names."""

    @pytest.fixture
    async def url(self, redis_url, prefix):
        rule = re.search(r"ACL SETUSER cache on >\S+ (.*)", PAGE.read_text(encoding="utf-8"))[1]
        async with Redis.from_url(redis_url, driver_info=None) as admin:
            rules = f"on >pa55 {rule.replace('tc:', prefix + ':')}".split()
            await admin.execute_command("ACL", "SETUSER", prefix, "resetchannels", *rules)
            yield f"unix://{prefix}:pa55@{redis_url.removeprefix('unix://')}"
            await admin.execute_command("ACL", "DELUSER", prefix)


# Making a tier


@pytest.mark.parametrize(
    "url",
    [
        "redis://192.0.2.1:6379",
        "redis://no-such-host.invalid",
        "rediss://192.0.2.1",
        "redis+sentinel://192.0.2.1,no-such-host.invalid/main",
        "redis+cluster://192.0.2.1,no-such-host.invalid",
        "rediss+cluster://192.0.2.1",
        "rediss+sentinel://192.0.2.1/main",
    ],
)
async def test_making_a_tier_takes_no_time_wherever_it_points(url):
    """A constructor that resolved or connected would take seconds here."""
    redis_tier(url)  # imports and the first reading of certificates aside
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        tier = redis_tier(url)
        took_s.append(time.perf_counter() - began_s)
        await tier.close()
    assert min(took_s) < 0.5  # of which reading certificates takes a tenth


async def test_a_server_that_comes_later_is_used_when_it_is_there(own_valkey, prefix):
    url = own_valkey.url
    own_valkey.kill()
    async with opened(url, prefix) as tier:
        with pytest.raises(TierUnavailableError):
            await tier.get(KEY)
        own_valkey.start()
        await until(lambda: all_stored(tier))


def test_options_that_redis_py_does_not_know_are_a_config_error():
    with pytest.raises(ConfigError):
        redis_tier("redis://:pa55@h?colour=red")
