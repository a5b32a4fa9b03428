"""The README's Python block runs as it stands, against an origin on loopback."""

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.chat_server import ChatServer

ROOT = Path(__file__).parents[2]


def test_the_readmes_example_pays_once():
    (block,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    with ChatServer() as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.replace("https://router.requesty.ai/v1", server.url)],
            capture_output=True,
            text=True,
            timeout=50,
            env={"PYTHONPATH": str(ROOT)},
            check=False,
        )

    assert (done.stderr, done.stdout) == ("", "1 call paid\n")
