"""Every Python block of the page on faults runs as it stands, and every fault it names exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tiered_cache.testing import TcpProxy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "test-with-faults.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SAID = ["200 L2/timeout\n", "False\nTrue\n", "None error\nNone corrupt\nNone None\n"]


@pytest.mark.parametrize("code, said", list(zip(BLOCKS, SAID, strict=True)))
def test_a_block_says_what_the_page_promises(code, said):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr) == (said, "")


def test_every_switch_in_the_table_is_one_of_the_proxy():
    proxy = TcpProxy(("127.0.0.1", 1))
    named = set(re.findall(r"`(?:await )?proxy\.(\w+)", PAGE))
    assert len(named) >= 10
    assert all(hasattr(proxy, name) for name in named)
