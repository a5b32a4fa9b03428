"""The tutorial, typed as a newcomer types it: every command runs, and says what the page shows."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.integration.gateway_process import environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial" / "first-steps.md").read_text()
BIN = Path(sys.executable).parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+)?")


class Reader:
    """A reader of the page with three terminals, in a folder of its own; the ports are free ones.

    `typed(code)` runs a command and gives what it printed. Servers stay until the next one on their port, as
    the page has Ctrl-C pressed before it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.servers = {}
        self.ports = {}
        self.known = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process, complaints in self.servers.values():
            process.kill()
            process.wait()
            process.stdout.close()
            complaints.close()

    def typed(self, code: str) -> str:
        if code.startswith("make "):
            return ""
        port = re.search(r"--port (\d+)", code)
        return self.served(code, port[1]) if port else self.run(code)

    def here(self, code: str) -> str:
        """The command with our interpreter's folder, and our ports in the place of the page's."""
        for shown, real in self.ports.items():
            code = code.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{real}")
        return code.replace(".venv/bin/", f"{BIN}/")

    def served(self, code: str, port: str) -> str:
        if port in self.servers:
            self.interrupt(port)
        command = self.here(code).replace(f"--port {port}", "--port 0").split()
        complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the server has ended
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment(), stdout=subprocess.PIPE, stderr=complaints, text=True
        )
        self.servers[port] = process, complaints
        line = process.stdout.readline()
        self.ports[port] = re.search(r"(\d+)\D*$", line)[1]
        return line

    def interrupt(self, port: str) -> None:
        process, complaints = self.servers.pop(port)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        process.stdout.close()
        complaints.close()

    def run(self, code: str) -> str:
        """What was defined in an earlier block is known in later ones, as it is in one terminal."""
        whole = self.here(self.known + code)
        if "() {" in code:
            self.known += code
        done = subprocess.run(
            ["bash", "-eu", "-c", whole],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    def python(self, code: str) -> str:
        file = self.folder / "ask.py"
        file.write_text(self.here(code))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(file)],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout


def masked(output: str) -> str:
    """Without the numbers, which are the machine's and the moment's."""
    return NUMBER.sub("#", output.replace("\r\n", "\n"))


def read_through(folder):
    """What the page shows after each command, and what was printed."""
    said, shown, printed = "", [], []
    folder.mkdir()
    with Reader(folder) as reader:
        for language, code in BLOCKS:
            if language == "text":
                shown.append(masked(code))
                printed.append(masked(said))
            elif language == "python":
                status, text = reader.python(code).splitlines()
                assert re.fullmatch(r"tiered-cache; hit; ttl=\d+; detail=L1", status)
                assert len(text.split()) > 3
            else:
                assert language == "sh"
                said = reader.typed(code)
        reader.interrupt("8080")
    return shown, printed


@pytest.mark.slow
def test_the_tutorial_can_be_typed_and_says_what_it_shows(tmp_path):
    folder = tmp_path / "first"
    shown, printed = read_through(folder)
    if any("detail=disk/timeout" in each for each in printed):
        # A machine so busy that its disk is not waited for shows a miss more than the page: once more.
        folder = tmp_path / "second"
        shown, printed = read_through(folder)
    assert printed == shown
    assert len(shown) == 11
    assert sorted(path.name for path in folder.iterdir()) == ["answers", "ask.py"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the package with Valkey is for Linux")
def test_what_the_demonstration_shows_is_what_the_page_explains():
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", PAGE.partition("## 2.")[0], re.MULTILINE)
    assert len(rows) == 11
    done = subprocess.run(
        [str(BIN / "tiered-cache"), "demo", "--requests", "60"],
        env=environment(PYTHONIOENCODING="utf-8", PYTHONUTF8="1"),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=50,
        check=True,
    )
    optional = {"no Valkey", "L1 hit", "L2 hit", "collapsed"}
    words = {word for row in rows for cell in row for word in re.findall("`([^`]+)`", cell)} - optional
    assert {word for word in words if word not in done.stdout} == set()


def test_the_words_typed_to_the_demonstration_exist():
    """`make demo DEMO=…` hands its words on, and each of them is a flag."""
    assert "$(BIN)/tiered-cache demo $(DEMO)" in (ROOT / "Makefile").read_text()
    (words,) = re.findall(r'make demo DEMO="([^"]*)"', PAGE)
    told = subprocess.run(
        [str(BIN / "tiered-cache"), "demo", "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert all(word in told.stdout for word in words.split() if word.startswith("--"))
