"""Notices clients that may repeat a call to get several samples, and get one answer for all of them."""

import logging

from tiered_cache.core.vocabulary import Call, Determinism, Request, Scope
from tiered_cache.engine.flight import Flight
from tiered_cache.engine.ledger import Ledger

_log = logging.getLogger("tiered_cache.engine")
_WARNED_LIMIT = 10_000
_WARNING = (
    "repeat_sampling_suspected: tenant %s sends equal calls of %s at once that state no temperature, and"
    " gets one answer for all; x-tiered-cache-variant, no-store, a temperature or the profile strict keep"
    " them apart"
)


class Repeats:
    """Counts followers that look like samples, and says so once for each credential in this process.

    Args:
        ledger: where they are counted.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._warned: set[Scope] = set()

    def note(self, request: Request, call: Call, flight: Flight) -> None:
        """A call that followed `flight`.

        Suspected is what states no temperature, is no retry, and repeats a call of its own credential.
        """
        if call.determinism is not Determinism.UNSTATED or request.ask.retry:
            return
        if request.scope != flight.scope:
            return
        self._ledger.count("repeat-sampling-suspected")
        if flight.scope not in self._warned and len(self._warned) < _WARNED_LIMIT:
            self._warned.add(flight.scope)
            _log.warning(_WARNING, flight.scope.tenant, call.endpoint)
