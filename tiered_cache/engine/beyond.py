"""Takes a call that L1 does not answer through rules, batches, variants and the lookup to its answer."""

from collections.abc import Callable

from tiered_cache.core.machine import State
from tiered_cache.core.policy import plan
from tiered_cache.core.profiles import Profile
from tiered_cache.core.vocabulary import Bypass, Keyed, Origin, Request, Response, Scope
from tiered_cache.engine.answering import Answering, tenant_of
from tiered_cache.engine.elements import Elements
from tiered_cache.engine.lookup import Driver
from tiered_cache.engine.repeats import Repeats
from tiered_cache.engine.terms import terms_of
from tiered_cache.engine.underway import Lookup
from tiered_cache.engine.variants import Variants


class Beyond:
    """What is beyond memory.

    Args:
        profile: rules and lifetimes.
        is_closed: whether nothing says that the origin still takes a credential.
        driver: runs lookups.
        answering: writes their ends.
        elements: answers batches.
        variants: finds the variant that a sampled call gets.
        repeats: told of callers who get what another call got.
    """

    def __init__(
        self,
        profile: Profile,
        is_closed: Callable[[Scope | None], bool],
        *,
        driver: Driver,
        answering: Answering,
        elements: Elements,
        variants: Variants,
        repeats: Repeats,
    ) -> None:
        self._profile = profile
        self._is_closed = is_closed
        self._driver = driver
        self._answering = answering
        self._elements = elements
        self._variants = variants
        self._repeats = repeats

    async def serve(
        self, request: Request, keyed: Keyed, origin: Origin
    ) -> Response | BaseException | Bypass:
        """The response, the origin's failure, or the reason word of a call to be forwarded uncached."""
        intended = plan(self._profile, keyed.call, tenant_of(request))
        closed = self._is_closed(request.scope)
        launched = self._driver.launched
        terms = terms_of(request, keyed.call, intended, closed=closed, launched=launched)
        start = State.START
        if keyed.elements and not terms.reload and terms.forbidden is None:
            answered = await self._elements.serve(request, keyed, origin, terms)
            if isinstance(answered, Lookup):
                return self._ended(State.FAIL if answered.landing is None else State.DELIVER, answered)
            if answered is not None:
                return answered
            start = State.FLIGHT
        elif intended.variants and terms.forbidden is None:
            assigned = await self._variants.assign(request, keyed, terms, intended.variants)
            keyed, terms, start = assigned.keyed, assigned.terms, assigned.start
        lookup = Lookup(keyed, request, origin, terms)
        return self._ended(await self._driver.run(lookup, start), lookup)

    def _ended(self, state: State, lookup: Lookup) -> Response | BaseException | Bypass:
        match state:
            case State.BYPASS:
                return Bypass(str(lookup.terms.forbidden), lookup.keyed.call.model)
            case State.FAIL:
                return self._failure(lookup)
            case State.STALE_HIT:
                self._driver.refresh(lookup)
            case _:
                if lookup.flight is not None and not lookup.led and not lookup.terms.variant:
                    self._repeats.note(lookup.request, lookup.keyed.call, lookup.flight)
        return self._answering.finish(state, lookup)

    @staticmethod
    def _failure(lookup: Lookup) -> BaseException:
        failure = lookup.failure
        assert failure is not None
        if lookup.origin_failed:
            return failure
        raise failure
