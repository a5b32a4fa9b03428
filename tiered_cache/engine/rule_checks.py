"""Refuses rules that could never do what they say: each complaint names the place and says what to change."""

from collections.abc import Collection, Mapping
from typing import get_args

import msgspec

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS
from tiered_cache.core.canonical.form import PolicyMode
from tiered_cache.core.canonical.loose import PLACES
from tiered_cache.core.canonical.policies import PREFIX
from tiered_cache.core.profiles import ENDLESS_S
from tiered_cache.core.replay import FASTEST_TOKENS_PER_S, SLOWEST_TOKENS_PER_S, TokenRate, is_possible
from tiered_cache.core.rules import BEFORE_THE_ANSWER, Gives, Rule
from tiered_cache.core.variants import FEWEST, MOST
from tiered_cache.errors import ConfigError

_SECONDS = ("fresh_s", "max_fresh_s", "stale_while_revalidate_s", "stale_if_error_s", "linger_s")


def check_rules(rules: tuple[Rule, ...], further: Collection[str] = ()) -> None:
    """Return if each rule can have the effect that it names.

    Args:
        rules: of the operator.
        further: endpoints that are cached beside those with a form of their own.

    Raises:
        ConfigError: one cannot.
    """
    try:
        # A file is checked as it is read; a value made in Python is not.
        msgspec.convert(msgspec.to_builtins(rules), tuple[Rule, ...])
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"rules: {error}") from error
    for place, rule in enumerate(rules):
        _check_match(rule, f"rules[{place}].match", further)
        _check_gives(rule.gives, f"rules[{place}].gives")
        _check_times(rule, f"rules[{place}].gives")


def check_models(policies: Mapping[str, str], default_models: Mapping[str, str]) -> None:
    """Return if policies and omitted models are named so that calls can mean them. Raises ConfigError."""
    modes = get_args(PolicyMode)
    for name, mode in policies.items():
        if not name or name.startswith(PREFIX):
            raise ConfigError(f"policies: write the name of {name!r} without {PREFIX}")
        if mode not in modes:
            raise ConfigError(f"policies.{name}: {mode!r} is no mode; there are {', '.join(modes)}")
    for endpoint, model in default_models.items():
        _check_endpoint(endpoint, "default_models")
        if not model:
            raise ConfigError(f"default_models: the model of {endpoint} must not be empty")


def _check_match(rule: Rule, path: str, further: Collection[str]) -> None:
    for endpoint in rule.match.endpoints:
        _check_endpoint(endpoint, f"{path}.endpoints", further)
    if rule.gives.looser and rule.match.endpoints and PLACES.keys().isdisjoint(rule.match.endpoints):
        raise ConfigError(f"{path}.endpoints: only calls with messages can be looser: {', '.join(PLACES)}")


def _check_endpoint(endpoint: str, path: str, further: Collection[str] = ()) -> None:
    if endpoint not in CACHEABLE_ENDPOINTS and endpoint not in further:
        known = ", ".join(sorted({*CACHEABLE_ENDPOINTS, *further}))
        raise ConfigError(f"{path}: {endpoint!r} is no route that is cached; there are {known}")


def _check_gives(gives: Gives, path: str) -> None:
    for name in _SECONDS:
        seconds = getattr(gives, name)
        if seconds is not None and not 0 <= seconds <= ENDLESS_S:
            raise ConfigError(f"{path}.{name} must be a number of seconds from 0 to {ENDLESS_S:.0f}")
    if gives.jitter is not None and not 0 <= gives.jitter <= 1:
        raise ConfigError(f"{path}.jitter is the part of a lifetime that may be cut off: from 0 to 1")
    if isinstance(gives.replay, TokenRate) and not is_possible(gives.replay):
        least, most = SLOWEST_TOKENS_PER_S, FASTEST_TOKENS_PER_S
        raise ConfigError(f"{path}.replay.tokens_per_s must be from {least:.0f} to {most:.0f}")
    if gives.variants is not None:
        _check_variants(gives, gives.variants, path)
    if gives.store is True:
        raise ConfigError(f"{path}.store can only be false: give fresh_s to have answers stored")


def _check_variants(gives: Gives, variants: int, path: str) -> None:
    if not FEWEST <= variants <= MOST:
        raise ConfigError(f"{path}.variants must be from {FEWEST} to {MOST}; one answer needs no variants")
    if gives.fresh_s is None or gives.fresh_s == 0 or gives.store is False:
        raise ConfigError(f"{path}.variants are stored: give fresh_s more than zero beside it")


def _check_times(rule: Rule, path: str) -> None:
    """A rule about answers comes too late for what is decided before there is one."""
    if not rule.match.needs_answer:
        return
    for name in BEFORE_THE_ANSWER:
        if getattr(rule.gives, name) is not None:
            raise ConfigError(
                f"{path}.{name} is decided before the answer is there: leave it to a rule without content"
                " and media_types"
            )
