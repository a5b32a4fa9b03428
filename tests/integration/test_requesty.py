"""Requesty's two regions are two origins."""

from tiered_cache.integrations.origin import HttpOrigin
from tiered_cache.integrations.requesty import EU_URL, GLOBAL_URL


def test_the_two_regions_are_two_origins():
    assert HttpOrigin(GLOBAL_URL).origin_id != HttpOrigin(EU_URL).origin_id
