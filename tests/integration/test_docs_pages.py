"""The documentation as a whole: pages are indexed, links lead somewhere, decisions have their form."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))
LINK = re.compile(r"\[[^]]+\]\(([^)\s]+)\)")
LATER = [path for path in DECISIONS if path.name > "0007"]
BY_SENTENCE = [
    *LATER,
    *(DOCS / "reference").glob("*.md"),
    DOCS / "README.md",
    DOCS / "explanation" / "what-we-dont-do.md",
    DOCS / "tutorial" / "first-steps.md",
]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Names of a page's headings as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def linked(page: Path) -> list[tuple[str, Path, str]]:
    """Links inside the project: as written, the file, the heading in it."""
    targets = [target for target in LINK.findall(prose(page.read_text())) if "://" not in target]
    return [
        (target, (page.parent / target.partition("#")[0]).resolve() if target[0] != "#" else page, anchor)
        for target in targets
        for anchor in [target.partition("#")[2]]
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    broken = [
        target
        for target, file, anchor in linked(page)
        if not file.exists() or (anchor and anchor not in anchors(file))
    ]
    assert broken == []


def test_every_page_is_in_the_index():
    indexed = {file for _, file, _ in linked(DOCS / "README.md")}
    missing = {page for page in PAGES if page.parent.name != "decisions"} - indexed
    assert {page.name for page in missing} == {"README.md"}


def test_every_decision_is_in_its_index_under_its_title():
    index = (DOCS / "decisions" / "README.md").read_text()
    stated = re.findall(r"^\| \[(\d{4})\]\((.*?)\) \| (.*) \|$", index, re.MULTILINE)
    titles = [path.read_text().splitlines()[0] for path in DECISIONS]
    assert [(f"# {number}: {title}", name) for number, name, title in stated] == [
        (title, path.name) for title, path in zip(titles, DECISIONS, strict=True)
    ]


@pytest.mark.parametrize("page", LATER, ids=lambda page: page.name)
def test_a_decision_has_choice_alternative_reason_and_what_reopens_it(page):
    parts = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    for part in parts[1:] or parts:
        marks = re.findall(r"^\*\*([A-Z][a-z ]+)\.\*\*", part, re.MULTILINE)
        known = ["Choice", "Alternative", "Why", "Measured", "Price", "Reopens when"]
        assert marks == sorted(
            marks, key=["Choice", "Alternative", "Why", "Measured", "Price", "Reopens when"].index
        )
        assert set(known) - {"Measured", "Price"} <= set(marks)


def test_the_digests_can_be_compared():
    page = (DOCS / "decisions" / "0007-the-second-digest-is-hmac.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    quick = code.replace("number=1_000, repeat=5", "number=1, repeat=1")
    assert quick != code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", quick], capture_output=True, text=True, timeout=30, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{size} bytes, {way}" for size in (2000, 32000) for way in ("hmac_sha_256", "keyed_blake2b")
    ]


@pytest.mark.parametrize("page", BY_SENTENCE, ids=lambda page: page.name)
def test_prose_has_one_sentence_a_line(page):
    lines = [
        line
        for line in prose(page.read_text()).splitlines()
        if not line.startswith(("|", "#")) and re.search(r"[a-z`)][.!?] [A-Z]", line)
    ]
    assert lines == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_some_test_executes_or_compares(page):
    kinds = set(re.findall(r"^```(\w*)$", page.read_text(), re.MULTILINE)) - {""}
    assert kinds <= {"python", "sh", "toml", "text", "promql", "mermaid"}
