"""Two whole caches on a cluster, behind a Sentinel and over TLS; servers change places in mid-flight."""

import asyncio
import re

import pytest

from tests.tiers.fleet_contract import FleetContract, Slow, ask, followed, two_caches
from tests.tiers.test_topologies import until
from tests.tiers.tls_front import tls_front
from tiered_cache.simulation.topologies import command

TEXTS = [f"prompt {number}" for number in range(9)]
"""Enough for each node of a cluster to hold some of their flights."""


class TestFleetInACluster(FleetContract):
    @pytest.fixture
    def url(self, cluster):
        return cluster.url


class TestFleetInAClusterInRespThree(TestFleetInACluster):
    protocol = 3


class TestFleetOverTls(FleetContract):
    @pytest.fixture
    async def url(self, redis_url, tmp_path):
        async with tls_front(redis_url, tmp_path) as (port, ca_file):
            self.ca_file = ca_file
            yield f"rediss://localhost:{port}/0"

    def options(self):
        return {"ca_file": self.ca_file}


async def all_end(url, prefix, fails_over):
    """Both processes ask the same, servers fail over while the origin is at work, and it goes on.

    Who was delivered part of a stream may get an error event; all others are answered, and who lost contact
    with the leader makes one further call at most.
    """
    origin, asks = Slow(), []
    async with two_caches(url, prefix, lease_s=0.6) as caches:
        for cache in caches:
            for stream in (False, True):
                asks += [ask(cache, origin, text, stream=stream) for text in TEXTS for _ in range(2)]
                await asyncio.sleep(0.1)
        await followed(caches[1], 2 * len(TEXTS))
        assert len(origin.asked) == 2 * len(TEXTS)
        await fails_over()
        await asyncio.sleep(1.0)
        origin.goes_on.set()
        seen = await asyncio.wait_for(asyncio.gather(*asks), 20)
    assert all(each.status == 200 for each in seen)
    whole = [each for each in seen if b'data: {"error"' not in each.body]
    cut_off = len(seen) - len(whole)
    assert all(re.fullmatch(r"said-\d+toall", each.text) for each in whole)
    assert cut_off <= 2 * len(TEXTS), "only followers of streams"
    assert len(origin.asked) <= 4 * len(TEXTS)


@pytest.mark.parametrize("how", ["takeover", "kill"])
async def test_a_cluster_fails_over_in_mid_flight(own_cluster, prefix, how):
    async def fails_over():
        if how == "takeover":
            own_cluster.fail_over(0)
        else:
            own_cluster.servers[0].kill()
        await until(lambda: asyncio.to_thread(own_cluster.has_failed_over, 0))

    await all_end(own_cluster.url, prefix, fails_over)


async def test_a_sentinel_names_another_primary_in_mid_flight(sentinel, prefix):
    async def fails_over():
        sentinel.servers[0].kill()
        await until(lambda: asyncio.to_thread(is_primary), timeout_s=30.0)

    def is_primary():
        return command(sentinel.servers[1], "ROLE")[0] == b"master"

    await all_end(sentinel.url, prefix, fails_over)
