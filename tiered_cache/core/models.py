"""Reads the date in a model id."""

import re

_DATED = re.compile(
    r"[-@.](?:20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))"
    r"(?P<rest>(?:-v[0-9]+(?::[0-9]+)?)?(?:@[a-z0-9-]+)?)\Z",
    re.ASCII,
)


def is_dated(model: str) -> bool:
    """Whether a model id ends in a whole date, so that it names one version for ever.

    A revision (`-v2:0`) or a region (`@eu-central-1`) may follow. Four digits (`-0613`, `-2411`) are no date
    here: an alias that looks like one would be kept a week. A policy's name is no model's.
    """
    return _DATED.search(model) is not None and not model.startswith("policy/")


def undated(model: str) -> str:
    """The model id without its whole date, a revision or region kept; as it is where it has none."""
    return _DATED.sub(r"\g<rest>", model)
