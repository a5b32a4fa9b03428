"""Keys of calls whose model a routing policy chooses, by the mode that the operator declares for it."""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tiered_cache.core.canonical.form import Canonical, KeyOptions, PolicyMode
from tiered_cache.core.canonical.members import Dialect
from tiered_cache.core.canonical.tool_memo import ToolMemo
from tiered_cache.core.vocabulary import Call

PREFIX = "policy/"


class _Router(Struct, frozen=True):
    user_id: str | None = None
    trace_id: str | None = None


class _Pinned(Struct, frozen=True):
    requesty: _Router = _Router()


_PINNED = msgspec.json.Decoder(_Pinned)


def names_policy(call: Call) -> bool:
    """Whether a policy may choose who answers."""
    return call.model.startswith(PREFIX) or any(name.startswith(PREFIX) for name in call.fallback_models)


def under_policies(
    form: Canonical, dialect: Dialect, raw: bytes, options: KeyOptions, seen_tools: ToolMemo | None
) -> Canonical:
    """The canonical form of a call that names policies, as the strictest of their modes wants it.

    `form` is that of the call as if its policies were models, which is what `pool` makes of it; the others
    are what it was made of.
    """
    mode = _mode(form.call, options)
    if mode == "pin":
        pinned = dialect(raw, replace(options, identity_fields="sticky"), seen_tools)
        if not _has_sticky_id(pinned):
            mode = "bypass"  # without an id the policy chooses anew each time
        elif options.identity_fields == "drop":
            form = pinned
    if mode != "bypass" or form.call.bypass == "no-model":
        return form
    bypass = "policy-model"
    return replace(form, call=replace(form.call, bypass=bypass))


def _has_sticky_id(form: Canonical) -> bool:
    try:
        ids = _PINNED.decode(form.text).requesty
    except msgspec.DecodeError:
        return False  # the form of a body that is no JSON has no such object
    return bool(ids.user_id or ids.trace_id)


def _mode(call: Call, options: KeyOptions) -> PolicyMode:
    names = [name for name in (call.model, *call.fallback_models) if name.startswith(PREFIX)]
    modes = {options.policies.get(name.removeprefix(PREFIX), "bypass") for name in names}
    if "bypass" in modes:
        return "bypass"
    return "pin" if "pin" in modes else "pool"
