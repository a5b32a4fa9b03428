"""A gateway in a process of its own, as an operator runs it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Self

SECRET = "a secret that all nodes have"
_SECRETS = ("TIERED_CACHE_SECRET", "REQUESTY_API_KEY", "TIERED_CACHE_ADMIN_TOKEN")


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without the operator's own secrets."""
    kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return kept | variables


class GatewayProcess:
    """`with GatewayProcess("--upstream", url) as node`: `node.url` ends in `/v1`; killed at the end if need be."""

    def __init__(self, *arguments: str, port: int = 0, **variables: str):
        self._command = [
            sys.executable,
            "-m",
            "tiered_cache.cli.main",
            "serve",
            "--port",
            str(port),
            *arguments,
        ]
        self._environment = environment(**variables)

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._errors, env=self._environment
        )
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            log = self.log
            self.__exit__()
            raise AssertionError(f"it printed {line!r} and {log!r}")
        self.base = line.split()[-1]
        self.url = f"{self.base}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._errors.close()

    @property
    def log(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float = 15.0) -> int:
        return self.process.wait(within_s)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.base + path, timeout=5) as response:
            return response.read().decode()


def until(holds, within_s: float = 10.0) -> None:
    """Wait until `holds()`; fail when it does not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
