"""The page on messages says what the tables say. `python -m tests.integration.test_docs_messages` rewrites it."""

import re
from pathlib import Path

import msgspec
import pytest

from tests.integration.test_docs_reference import blocks, words
from tiered_cache.core.answers import error_event
from tiered_cache.core.canonical.messages_tables import (
    BODY_FIELDS,
    CLIENT_TOOLS,
    DROPS,
    ELISIONS,
    KEYED_AS_IS,
    MESSAGES_STATE_FIELDS,
    ORIGIN_TOOLS,
    SEARCH_TOOLS,
)
from tiered_cache.core.messages_fields import DELTAS
from tiered_cache.core.messages_reading import _FINISHED

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "messages.md"


def listed(names) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def table(rows) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


PARTS = {
    "DROPS": table((f"`{row.path}`", row.kind, row.source) for row in DROPS),
    "ELISIONS": table(
        (
            f"`{row.path}`",
            f"`{msgspec.json.encode(row.value).decode()}`",
            "beside tools" if row.with_tools else "always",
            row.source,
        )
        for row in ELISIONS
    ),
    "NULLABLE": listed(field.name for field in BODY_FIELDS if field.null == "absent"),
    "KEYED": listed(KEYED_AS_IS),
    "CLIENT": listed(CLIENT_TOOLS),
    "SEARCH": SEARCH_TOOLS,
    "ORIGIN": listed(f"{name}…" for name in ORIGIN_TOOLS),
    "STOPS": listed(_FINISHED),
    "DELTAS": table(
        (f"`{row.kind}`", listed(row.blocks), f"`{row.target}`", row.rule.value) for row in DELTAS
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_what_the_table_says(part):
    assert PARTS[part] in PAGE.read_text()


def test_the_page_has_no_row_that_the_tables_lack():
    page = PAGE.read_text()
    shown = set(re.findall(r"^\| (`[^`]+`) \| (?:transport|identity) \|", page, re.MULTILINE))
    assert shown == {f"`{row.path}`" for row in DROPS}
    assert set(re.findall(r"`(\w+_delta)`", page)) == {row.kind for row in DELTAS}


def test_state_and_origin_fields_are_named():
    told = set(words(PAGE.read_text()))
    assert {"container", "thread", "mcp_servers", *MESSAGES_STATE_FIELDS.values()} <= told


def test_the_error_event_shown_is_the_one_sent():
    (shown,) = blocks(PAGE.read_text(), "text")
    assert shown.encode() + b"\n" == error_event("messages", "the origin's stream broke off", "origin_cut")


if __name__ == "__main__":
    text = PAGE.read_text()
    for name, part in PARTS.items():
        text = text.replace(f"@{name}@", part)
    PAGE.write_text(text)
