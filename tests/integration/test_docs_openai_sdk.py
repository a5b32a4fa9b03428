"""Every Python block of the OpenAI SDK page runs as it stands, against an origin on loopback."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.chat_server import ChatServer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "openai-sdk.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
SAID = [
    "Caf\u00e9 .*\nCaf\u00e9 .*\n1 call to the origin\n",
    "1 answer for 20 calls\nCaf\u00e9 .*\n1 call to the origin\n",
    "tiered-cache; fwd=uri-miss.*; stored.*\nnothing dollars saved\ntiered-cache; hit.*\n0.00125 dollars saved\n",
    "1 call to the origin\n0 call to the origin\n",
    "200\n",
]


def test_every_block_has_its_expectation():
    assert len(BLOCKS) == len(SAID)


@pytest.mark.parametrize("number", range(len(SAID)))
def test_a_block_says_what_the_page_promises(number, tmp_path):
    with ChatServer() as server:
        code = BLOCKS[number].replace("https://router.requesty.ai/v1", server.url)
        assert "requesty.ai" not in code
        # A busy machine may make the disk miss its deadline, which is a miss, as it should be.
        code = code.replace("directory=directory", "directory=directory, read_deadline_s=10")
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=50,
            env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(PAGE.parents[2])},
            check=False,
        )
    assert done.stderr == ""
    assert re.fullmatch(SAID[number], done.stdout)
