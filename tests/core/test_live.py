"""The tables of live streams."""

from pathlib import Path

import pytest

from tiered_cache.core.live import (
    FOLLOWING,
    FOLLOWING_ENDS,
    LIFE,
    LIFE_ENDS,
    Following,
    Life,
    Sight,
    Turn,
    following_diagram,
    life_diagram,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "live-streams.md"
TABLES = [
    pytest.param(Life, Turn, Life.FLYING, LIFE, LIFE_ENDS, id="life"),
    pytest.param(Following, Sight, Following.HELD, FOLLOWING, FOLLOWING_ENDS, id="following"),
]


@pytest.mark.parametrize(("states", "events", "start", "table", "ends"), TABLES)
def test_every_state_is_reached_every_event_used_and_only_terminal_ones_end(
    states, events, start, table, ends
):
    assert set(table.values()) | {start} == set(states)
    assert {state for state, _ in table} == set(states) - ends
    assert {event for _, event in table} == set(events)


def test_nothing_follows_delivery_but_more_of_the_same_stream():
    """SEMANTICS 5: after delivery never spliced onto another generation."""
    after = {state for (before, _), state in FOLLOWING.items() if before is Following.DELIVERED}

    assert Following.ANEW not in after
    assert FOLLOWING[Following.DELIVERED, Sight.CUT] is Following.BROKEN


@pytest.mark.parametrize("state", [Following.HELD, Following.DELIVERED, Following.ANEW])
def test_a_caller_may_leave_at_any_time(state):
    assert FOLLOWING[state, Sight.LEFT] is Following.GONE


@pytest.mark.parametrize("diagram", [life_diagram(), following_diagram()])
def test_the_docs_diagrams_are_the_tables(diagram):
    assert diagram in PAGE.read_text(encoding="utf-8")
