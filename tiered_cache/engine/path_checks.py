"""Refuses paths of the generic form that could be taken for another route, or that no answer lives on."""

import re
from collections.abc import Mapping

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.core.profiles import ENDLESS_S, FUNCTIONS, SEEDED
from tiered_cache.errors import ConfigError

_PATH = re.compile(r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*")
"""Segments as URLs have them without escapes; none of them goes up a level."""

_ROUTES = CACHEABLE_ENDPOINTS | {*SEEDED, *FUNCTIONS}


def check_paths(paths: Mapping[str, float]) -> None:
    """Return if each path is one of its own and has a lifetime. Raises ConfigError."""
    for path, fresh_s in paths.items():
        if not _PATH.fullmatch(path):
            raise ConfigError(
                f"generic_paths: {path!r} is no path below the API base: write for example tools/extract"
            )
        taken = next((route for route in sorted(_ROUTES) if _overlap(path, route)), None)
        if taken is not None:
            raise ConfigError(f"generic_paths: {path!r} cannot be told from {taken}, which has its own form")
        # A time that is no number compares with nothing.
        if not 0 < fresh_s <= ENDLESS_S:
            raise ConfigError(
                f"generic_paths.{path} is how long its answers are fresh: a number of seconds above zero,"
                f" at most {ENDLESS_S:.0f}"
            )


def _overlap(path: str, route: str) -> bool:
    """Whether one is the end of the other: below an API base of any depth they look alike."""
    return f"/{path}".endswith(f"/{route}") or f"/{route}".endswith(f"/{path}")
