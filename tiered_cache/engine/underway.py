"""One call on its way through the table of the lookup: what is known of it so far."""

from tiered_cache.core.vocabulary import Fwd, Keyed, Origin, Rendering, Request
from tiered_cache.engine.flight import Flight, FlightName, Landing, followable
from tiered_cache.engine.recording import Cursor
from tiered_cache.engine.store import Candidate
from tiered_cache.engine.terms import Terms


class Lookup:
    """One call on its way through the table.

    Attributes:
        keyed, request, origin: the call.
        terms: what is allowed.
        served: the fresh or stale entry it is answered from.
        fallback: the youngest entry within stale-if-error met on the way.
        detail: reason word for Cache-Status; at first the rule's.
        flight, landing: what it led or followed, and how that ended.
        led: it led that flight.
        cursor: where it reads that flight's stream, for who asked for one.
        failure: why there is no answer.
        timed_out: this caller's own time-out ran out.
        origin_failed: the failure is the origin's, not ours.
        rendering: a follower's answer.
        fwd: why the origin is asked, where that is not to be told from the rest.
        alone: equal calls do not wait for it, nor it for them.
        releases: how often it was sent back to start.
        losses: how often contact was lost with the process whose call it followed.
        told_stored: it has looked again since another process said that the answer is stored.
        gave_up: it has been sent back so often that it waits for nobody.
        root: token of the flight that failed, where this call takes over.
        began_s, looked_s: when it came, and when the lower tiers were last looked into for it (monotonic).
    """

    def __init__(self, keyed: Keyed, request: Request, origin: Origin, terms: Terms) -> None:
        self.keyed = keyed
        self.request = request
        self.origin = origin
        self.terms = terms
        self.served: Candidate | None = None
        self.stale: Candidate | None = None
        self.fallback: Candidate | None = None
        self.detail = terms.detail
        self.flight: Flight | None = None
        self.landing: Landing | None = None
        self.led = False
        self.cursor: Cursor | None = None
        self._in: Flight | None = None
        self.failure: BaseException | None = None
        self.origin_failed = False
        self.timed_out = False
        self.rendering: Rendering | None = None
        self.fwd: Fwd | None = None
        self.generation = 0
        self.releases = 0
        self.losses = 0
        self.told_stored = False
        self.alone = False
        self.gave_up = False
        self.root = b""
        self.began_s: float | None = None
        self.looked_s: float | None = None

    def enter(self, flight: Flight, *, led: bool) -> None:
        """Be one of the callers of a flight."""
        self.flight, self.led = flight, led
        self._in = flight
        flight.join()
        if self.keyed.call.stream:
            self.cursor = flight.recording.open()

    def leave(self) -> None:
        """Leave the flight it is in, if it is in one."""
        flight, self._in = self._in, None
        cursor, self.cursor = self.cursor, None
        if cursor is not None:
            cursor.close()
        if flight is not None:
            flight.leave()

    @property
    def joinable(self) -> tuple[FlightName, ...]:
        """Flights this call may follow."""
        return followable(self.keyed, follow_json=self.terms.gives.follow_json is True)
