"""The contract of a tier in Redis, wherever that Redis is."""

import pytest
from redis.asyncio import Redis

from tiered_cache.testing.tier_contract import TierContract
from tiered_cache.tiers.guard import GuardedTier
from tiered_cache.tiers.redis import RedisTier
from tiered_cache.tiers.redis_places import PlaceOptions

PATIENT = {"read_timeout_s": 10.0, "write_timeout_s": 10.0}


def redis_tier(url, prefix="tc", max_value_bytes=2**26, compress_above_bytes=None, **options):
    return RedisTier(
        url,
        prefix=prefix,
        options=PlaceOptions(**{**PATIENT, **options}),
        max_value_bytes=max_value_bytes,
        compress_above_bytes=compress_above_bytes,
    )


def unguarded(tier):
    return tier._tier if isinstance(tier, GuardedTier) else tier


class RedisContract(TierContract):
    """Subclass it with a `url` fixture."""

    protocol = 2
    compress_above_bytes = None

    @pytest.fixture
    async def tier(self, url, prefix):
        self.url = url
        tier = self.guard(
            redis_tier(
                url,
                prefix,
                protocol=self.protocol,
                compress_above_bytes=self.compress_above_bytes,
                **self.options(),
            )
        )
        yield tier
        await tier.close()

    def options(self):
        """Further options of the tier."""
        return {}

    def guard(self, tier):
        return tier

    def client(self):
        """redis-py's own client for this place."""
        return Redis.from_url(self.url, driver_info=None)

    async def edit_stored(self, tier, key, edit):
        name = unguarded(tier).key_name(key)
        async with self.client() as client:
            await client.set(name, edit(await client.get(name)))
        return True

    async def unreachable(self):
        return self.guard(redis_tier("redis://127.0.0.1:1/0"))
