"""How the simulated Requesty behaves beside what it answers: speed, failures, its prompt cache."""

import random
from collections import OrderedDict
from hashlib import blake2b
from typing import Literal

import msgspec

from tiered_cache.errors import ConfigError

SCRIPT_FIELD = b"x-simulate"
"""Header field by which a test scripts one call: `status=503, retry-after=2`; never needed otherwise."""

PREFIX_BLOCK_BYTES = 512
PREFIX_LEAST_TOKENS = 1024
_BYTES_PER_TOKEN = 4
_PREFIXES_KEPT = 4096
_FAILURES: tuple[tuple[int, str], ...] = (
    (429, "Rate limit exceeded, try again later"),
    (502, "The provider's answer could not be read"),
    (503, "The provider is not available"),
    (529, "The provider is overloaded"),
)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the simulation depends on.

    Attributes:
        first_token_s: until the first token; per call between half and one and a half times that.
        per_token_s: for each further token: 0.0125 writes 80 tokens a second, as small hosted models do.
        chunk_tokens: tokens in one event of a stream.
        error_rate: share of calls that fail with 429, 502, 503 or 529 before anything is generated.
        seed: decides which calls fail and how slow each is.
    """

    first_token_s: float = 0.0
    per_token_s: float = 0.0
    chunk_tokens: int = 4
    error_rate: float = 0.0
    seed: int = 0


class Failure(msgspec.Struct, frozen=True):
    """An error response in Requesty's shape."""

    status: int
    message: str
    retry_after_s: int | None = 1
    origin: Literal["router", "provider"] = "provider"

    @property
    def body(self) -> bytes:
        """The JSON text."""
        return msgspec.json.encode({"error": {"origin": self.origin, "message": self.message}})


class Script(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What one call is told to do.

    Attributes:
        status: fail with this status.
        retry_after: its Retry-After, in seconds; none where absent.
        cut: close the connection after this many events of a stream, or in the middle of a JSON body.
        error_event: after this many events send an error event and end without `[DONE]`.
        finish_reason: instead of the usual one.
        first_token_s, per_token_s: instead of the settings'.
        cache_control: sent as the response's Cache-Control.
    """

    status: int | None = None
    retry_after: int | None = None
    cut: int | None = None
    error_event: int | None = None
    finish_reason: str | None = None
    first_token_s: float | None = None
    per_token_s: float | None = None
    cache_control: str | None = None


def read_script(value: bytes) -> Script:
    """Read `name=value, name=value`. Raises ConfigError for what is not in `Script`."""
    pairs = [part.partition("=") for part in value.decode("latin-1").split(",") if part.strip()]
    fields = {name.strip(): text.strip() for name, _, text in pairs}
    try:
        return msgspec.convert(fields, Script, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"x-simulate: {error}") from error


class Pace(msgspec.Struct, frozen=True):
    """How fast one answer is written, in seconds."""

    first_token_s: float
    per_token_s: float

    def whole_s(self, tokens: int) -> float:
        """Until the last of `tokens`."""
        return self.first_token_s + tokens * self.per_token_s


class Behaviour:
    """The seeded luck of calls, and which prompt prefixes the provider has seen."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._luck = random.Random(settings.seed)  # noqa: S311  # simulation, not security
        self._prefixes: OrderedDict[bytes, None] = OrderedDict()

    def failure(self, script: Script) -> Failure | None:
        """The error that this call ends in, or None."""
        if script.status is not None:
            return Failure(script.status, "As the test asked", script.retry_after)
        if self._luck.random() >= self._settings.error_rate:
            return None
        return Failure(*self._luck.choice(_FAILURES))

    def pace(self, script: Script) -> Pace:
        """How fast this call is answered."""
        first_s = self._settings.first_token_s * self._luck.uniform(0.5, 1.5)
        per_s = self._settings.per_token_s
        return Pace(
            first_s if script.first_token_s is None else script.first_token_s,
            per_s if script.per_token_s is None else script.per_token_s,
        )

    def cached_tokens(self, account: bytes, model: str, prompt: bytes) -> int:
        """Tokens at the prompt's beginning that this account sent this model before: 1024 or more, or 0."""
        seen = 0
        fresh = False
        state = blake2b(account + b"\0" + model.encode() + b"\0", digest_size=16)
        for end in range(PREFIX_BLOCK_BYTES, len(prompt) + 1, PREFIX_BLOCK_BYTES):
            state.update(prompt[end - PREFIX_BLOCK_BYTES : end])
            fresh = fresh or state.digest() not in self._prefixes
            self._remember(state.digest())
            if not fresh:
                seen = end // _BYTES_PER_TOKEN
        return seen if seen >= PREFIX_LEAST_TOKENS else 0

    def _remember(self, prefix: bytes) -> None:
        self._prefixes[prefix] = None
        self._prefixes.move_to_end(prefix)
        if len(self._prefixes) > _PREFIXES_KEPT:
            self._prefixes.popitem(last=False)
