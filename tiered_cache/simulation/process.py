"""Processes that end with the one that started them, and the simulated Requesty as one of them."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from tiered_cache.errors import ConfigError
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.requesty import Stats

STOP_WITHIN_S = 3.0
READY_WITHIN_S = 15.0
_STATS_WITHIN_S = 5.0

# The child asks the kernel to end it with its parent where the kernel can (Linux), checks that the parent is
# still there, and becomes the program.
_BOUND_TO_PARENT = """
import ctypes, os, sys
if sys.platform == "linux": ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ChildProcess:
    """A Python program of ours in a session of its own: Ctrl-C in the terminal reaches its parent only.

    The kernel ends it when the *thread* that started it ends. Starting and stopping block.

    Args:
        arguments: what follows `python` on the command line.
        environment: the whole of it; this process's own when None.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, str(os.getpid()), sys.executable]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop
        self._process = subprocess.Popen(  # noqa: S603  # our own program and arguments
            [*command, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """It runs."""
        return self._process.poll() is None

    def first_line(self, name: str) -> str:
        """The first line it prints.

        Raises ConfigError, with its last words, when it ends or `READY_WITHIN_S` passes before.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline_s = time.monotonic() + READY_WITHIN_S
        line = b""
        while not line.endswith(b"\n"):
            left_s = max(0.0, deadline_s - time.monotonic())
            readable, _, _ = select.select([descriptor], [], [], left_s)
            byte = os.read(descriptor, 1) if readable else b""
            if not byte:
                raise ConfigError(f"{name} did not start: {self._last_words()}")
            line += byte
        return line.decode().strip()

    def stop(self) -> int:
        """End it, by force when it takes longer than `STOP_WITHIN_S`. Idempotent. Returns its exit status."""
        if self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_WITHIN_S)
        if self.alive:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._complaints.close()
        return self._process.wait()

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


class SimulatedRequesty:
    """A simulated Requesty in its own process on loopback.

    Use it as a context manager, or `start` and `stop` it.
    """

    def __init__(self, settings: Settings = Settings()) -> None:  # noqa: B008  # a frozen Struct
        self._settings = settings
        self._process: ChildProcess | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """API base as SDKs take it."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def pid(self) -> int:
        """Process id."""
        if self._process is None:
            raise ConfigError("start the simulated Requesty first")
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for it."""
        flags: list[str] = []
        for name, value in msgspec.structs.asdict(self._settings).items():
            flags += ["--" + name.replace("_", "-"), str(value)]
        self._process = ChildProcess(
            ["-P", "-m", "tiered_cache.simulation", "requesty", "--port", "0", *flags]
        )

    def wait_ready(self) -> None:
        """Wait until it listens. Raises ConfigError with its own words when it does not."""
        assert self._process is not None
        self._port = json.loads(self._process.first_line("the simulated Requesty"))["port"]

    def start(self) -> Self:
        """Start it and wait until it listens. Raises ConfigError when it does not."""
        try:
            self.launch()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process. Idempotent."""
        if self._process is not None:
            self._process.stop()

    def stats(self) -> Stats:
        """What happened there so far; blocks for a round trip."""
        address = self.url.removesuffix("/v1") + "/_simulation/stats"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(address, timeout=_STATS_WITHIN_S) as answer:
            return msgspec.json.decode(answer.read(), type=Stats)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
