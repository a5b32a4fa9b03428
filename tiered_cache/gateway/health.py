"""Says how the gateway does, in JSON: `ok`, `degraded` while a tier is left alone, `draining`."""

from collections.abc import Sequence

import msgspec

from tiered_cache.core.vocabulary import Response
from tiered_cache.tiers.guard import TierHealth


def health_answer(tiers: Sequence[TierHealth], *, draining: bool) -> Response:
    """200 for `ok` and `degraded` (a sick tier costs hits, no answers), 503 for `draining`."""
    sick = [tier for tier in tiers if tier.state != "closed" or tier.write_state != "closed"]
    status = "draining" if draining else "degraded" if sick else "ok"
    report = {
        "status": status,
        "tiers": {
            tier.name: {"reads": _word(tier.state), "writes": _word(tier.write_state)} for tier in tiers
        },
    }
    headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
    return Response(503 if draining else 200, headers, msgspec.json.encode(report))


def _word(state: str) -> str:
    """The breaker's state as operators read it."""
    return {"closed": "ok", "half-open": "probing"}.get(state, "failing")
