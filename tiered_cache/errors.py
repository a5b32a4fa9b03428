"""The exception tree: who is at fault, at which stage, with a code that stays the same.

Only these leave the library. A fault of a tier never reaches a caller: the guard turns it into a miss.
No message carries a key, a prompt, an answer or a credential.
"""


class TieredCacheError(Exception):
    """Base of every error of this library.

    Attributes:
        code: stable machine-readable word, the same in every release.
    """

    code = "tiered_cache"


class ConfigError(TieredCacheError):
    """The operator's configuration cannot be used; the message says what to change."""

    code = "config"


class MissingExtraError(ConfigError):
    """An optional feature was asked for whose packages are not installed."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature = feature
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.feature} needs the extra [{self.extra}]: pip install 'tiered-cache[{self.extra}]'"


class RequestError(TieredCacheError):
    """The caller sent something that no origin could accept.

    Attributes:
        status: the HTTP status to answer with (400, 401, 404, 405, 413 or 415).
    """

    code = "request"

    def __init__(self, message: str, status: int = 400, code: str = "invalid_request") -> None:
        super().__init__(message, status, code)
        self.message = message
        self.status = status
        self.code = code

    def __str__(self) -> str:
        return self.message


class OriginError(TieredCacheError):
    """The origin failed. Where it gave no whole answer, `__cause__` is the transport's own exception."""

    code = "origin"


class OriginUnreachableError(OriginError):
    """No response began: connection refused, reset, name not found."""

    code = "origin_unreachable"


class OriginTimeoutError(OriginError):
    """The origin, or the flight that was joined, did not answer within the caller's deadline."""

    code = "origin_timeout"


class OriginCutError(OriginError):
    """A response began and broke off before it was whole."""

    code = "origin_cut"


class OriginStatusError(OriginError):
    """`Cache.call` shared a call whose `fetch` raised for an HTTP status, in another caller.

    Attributes:
        status_code: that HTTP status, 400 to 599; named as SDKs name it.
    """

    code = "origin_status"

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code

    def __str__(self) -> str:
        return f"the origin answered the call that was shared with status {self.status_code}"


class TierError(TieredCacheError):
    """A tier failed. Raised by tiers, caught by the guard, never seen by a caller."""

    code = "tier"


class TierUnavailableError(TierError):
    """The tier cannot be reached or refused the command."""

    code = "tier_unavailable"


class CorruptEntryError(TierError):
    """Stored bytes are not an entry of this key: wrong magic, version, checksum, key or structure."""

    code = "corrupt"


class ForeignEntryError(CorruptEntryError):
    """Stored bytes that this process cannot read and another may: a later version, compression without zstd.

    They are left where they are.
    """

    code = "foreign"


class CacheClosedError(TieredCacheError):
    """The cache was used after it was closed."""

    code = "closed"
