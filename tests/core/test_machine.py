"""The lookup's table."""

from pathlib import Path

import pytest

from tiered_cache.core.machine import TERMINAL, TRANSITIONS, Event, State, advance, diagram


def test_every_state_is_reached_and_only_terminal_ones_end():
    targets = set(TRANSITIONS.values()) | {State.START, State.BYPASS}
    sources = {state for state, _ in TRANSITIONS}

    assert targets == set(State)
    assert sources == set(State) - TERMINAL


def test_every_event_is_used():
    assert {event for _, event in TRANSITIONS} | {Event.FORBIDDEN} == set(Event)


@pytest.mark.parametrize("state", sorted(TERMINAL, key=lambda state: state.name))
@pytest.mark.parametrize("event", list(Event))
def test_nothing_follows_a_terminal_state(state, event):
    with pytest.raises(KeyError):
        advance(state, event)


def test_every_path_ends():
    """The only ways back are those that the driver counts: without them the table has no circle."""
    counted = {Event.RELEASED, Event.STORED}
    edges = {(before, after) for (before, event), after in TRANSITIONS.items() if event not in counted}

    def longest(state, seen):
        assert state not in seen, f"a circle through {state}"
        return 1 + max(
            (longest(after, seen | {state}) for before, after in edges if before is state), default=0
        )

    assert longest(State.START, frozenset()) <= len(State)


def test_the_diagram_shows_every_transition():
    text = diagram()

    assert text.count(" --> ") == len(TRANSITIONS) + len(TERMINAL) + 1
    assert all(
        f"{before.name} --> {after.name}: {event.value}" in text
        for (before, event), after in TRANSITIONS.items()
    )


def test_the_docs_diagram_is_the_table():
    page = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "lookup.md"

    assert diagram() in page.read_text()
