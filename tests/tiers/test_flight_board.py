"""The board of flights on a real Valkey: its promises, and what they cost."""

import pytest

from tests.tiers.flight_contract import FlightContract


class TestFlights(FlightContract):
    most_frames = 9000  # more than Lua hands to a command at once

    @pytest.fixture
    def url(self, redis_url):
        return redis_url
