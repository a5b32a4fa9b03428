"""The two-tier response cache for LLM calls: pay once for equal calls, never get another call's answer."""

from tiered_cache.core.explain import Comparison, Explanation
from tiered_cache.core.replay import TokenRate
from tiered_cache.core.rules import Gives, Match, Rule
from tiered_cache.core.scopes import Selector
from tiered_cache.core.vocabulary import Origin, Outcome, Request, Response, Scope
from tiered_cache.engine.blocking import BlockingCache
from tiered_cache.engine.cache import Cache
from tiered_cache.engine.calls import CallResult
from tiered_cache.engine.config import CacheConfig, DiskConfig, MemoryConfig, RedisConfig
from tiered_cache.engine.purging import PurgeOrder, PurgeRecord
from tiered_cache.errors import (
    CacheClosedError,
    ConfigError,
    MissingExtraError,
    OriginCutError,
    OriginError,
    OriginStatusError,
    OriginTimeoutError,
    OriginUnreachableError,
    RequestError,
    TieredCacheError,
)

__all__ = [
    "BlockingCache",
    "Cache",
    "CacheClosedError",
    "CacheConfig",
    "CallResult",
    "Comparison",
    "ConfigError",
    "DiskConfig",
    "Explanation",
    "Gives",
    "Match",
    "MemoryConfig",
    "MissingExtraError",
    "Origin",
    "OriginCutError",
    "OriginError",
    "OriginStatusError",
    "OriginTimeoutError",
    "OriginUnreachableError",
    "Outcome",
    "PurgeOrder",
    "PurgeRecord",
    "RedisConfig",
    "Request",
    "RequestError",
    "Response",
    "Rule",
    "Scope",
    "Selector",
    "TieredCacheError",
    "TokenRate",
    "__version__",
]

__version__ = "0.1.0"
