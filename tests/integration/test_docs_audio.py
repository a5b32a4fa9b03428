"""The page of audio says what the tables say."""

import re
from pathlib import Path

from tests.core.vectors.make_page import kinds
from tiered_cache.core.canonical import multipart, speech, transcriptions

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


def test_the_limits_and_formats_of_forms():
    page = PAGE.split("## Transcriptions: the request")[1]
    assert f"at most {multipart.MAX_PARTS} parts, each with at most {multipart.MAX_HEAD_BYTES} bytes" in page
    (formats,) = [row for row in rows("Transcriptions: the request") if row[1] == "response-format"]
    told = set(re.findall(r"`(\w+)`", f"`{formats[0]}`")) - {"response_format"}
    assert told == transcriptions.JSON_FORMATS | transcriptions.TEXT_FORMATS
