"""The page of audio says what the tables say."""

import re
from pathlib import Path

from tests.core.vectors.make_page import kinds
from tiered_cache.core.canonical import speech

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "audio.md").read_text()


def rows(heading: str) -> list[list[str]]:
    under = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in under.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_members_of_speech():
    assert rows("Speech: the request") == [[field.name, kinds(field)] for field in speech.FIELDS]


def test_the_values_that_are_forwarded():
    (sentence,) = [line for line in PAGE.splitlines() if line.startswith("A call whose `stream_format`")]
    assert set(re.findall(r"`(\w+)`", sentence)) == {"stream_format", *speech.EVENT_FORMATS}
