"""Draws a table of transitions, so that a page of the docs cannot say anything else."""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import TypeVar

_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)


def state_diagram(
    states: Iterable[_State],
    start: _State,
    transitions: Mapping[tuple[_State, _Event], _State],
    terminal: Collection[_State],
) -> str:
    """The table as a Mermaid state diagram; values of states and events are what they are called."""
    states = list(states)
    lines = ["stateDiagram-v2", f"    [*] --> {start.name}"]
    lines += [f"    {state.name}: {state.name}<br/>{state.value}" for state in states]
    lines += [
        f"    {before.name} --> {after.name}: {event.value}" for (before, event), after in transitions.items()
    ]
    lines += [f"    {state.name} --> [*]" for state in states if state in terminal]
    return "\n".join(lines) + "\n"
