"""Starts everything that the demonstration shows, and ends it again."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from tiered_cache.cli.demo.interrupts import Interrupts
from tiered_cache.errors import MissingExtraError
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.process import ChildProcess, SimulatedRequesty
from tiered_cache.simulation.valkey import EmbeddedValkey

NODES = ("A", "B")
MEMORY = "64MiB"

T = TypeVar("T")


class Node(Struct, frozen=True):
    """One gateway process.

    Attributes:
        url: API base as SDKs take it.
    """

    name: str
    url: str
    pid: int


class Stage(Struct, frozen=True):
    """What stands: the origin, the shared tier (None where no Valkey is installed), the nodes in front."""

    requesty: SimulatedRequesty
    valkey: EmbeddedValkey | None
    nodes: tuple[Node, ...]


@contextmanager
def standing(
    settings: Settings, interrupts: Interrupts, meanwhile: Callable[[], T]
) -> Generator[tuple[Stage, T]]:
    """Start the processes, do `meanwhile` what takes as long, and end them whatever happens.

    Raises:
        ConfigError: a part did not start; the message has its last words.
    """
    started = ExitStack()
    try:
        with interrupts.held():
            requesty = SimulatedRequesty(settings)
            started.callback(requesty.stop)
            requesty.launch()
        valkey = _valkey(started, interrupts)
        made = meanwhile()
        requesty.wait_ready()
        places = [_second_tier(valkey, started, interrupts) for _ in NODES]
        secret = secrets.token_hex(32)
        processes = [_launch(requesty.url, place, secret, started, interrupts) for place in places]
        nodes = tuple(_ready(name, process) for name, process in zip(NODES, processes, strict=True))
        yield Stage(requesty, valkey, nodes), made
    finally:
        with interrupts.ignored():
            started.close()


_PATIENT_S = 0.2
"""What a look into Valkey may take: nodes, clients and origin share this machine's processors."""
_SHARED = """\
[cache.redis]
url = "{url}"
read_deadline_s = {deadline_s}
"""


def _valkey(started: ExitStack, interrupts: Interrupts) -> EmbeddedValkey | None:
    try:
        valkey = EmbeddedValkey()
    except MissingExtraError:
        return None
    with interrupts.held():
        started.callback(valkey.stop)
        valkey.start()
    return valkey


def _second_tier(valkey: EmbeddedValkey | None, started: ExitStack, interrupts: Interrupts) -> list[str]:
    """Flags for the shared tier; without a Valkey each node has a folder of its own."""
    with interrupts.held():
        folder = Path(tempfile.mkdtemp(prefix="tc-demo-"))
        started.callback(shutil.rmtree, folder, ignore_errors=True)
    if valkey is None:
        return ["--disk", str(folder)]
    config = folder / "node.toml"
    config.write_text(_SHARED.format(url=valkey.url, deadline_s=_PATIENT_S), encoding="utf-8")
    return ["--config", str(config)]


def _launch(
    upstream: str, place: list[str], secret: str, started: ExitStack, interrupts: Interrupts
) -> ChildProcess:
    flags = ["--upstream", upstream, "--port", "0", "--memory", MEMORY, *place]
    quiet = ["--log-level", "error", "--drain", "1"]
    with interrupts.held():
        process = ChildProcess(
            ["-P", "-m", "tiered_cache.cli.main", "serve", *flags, *quiet], _environment(secret)
        )
        started.callback(process.stop)
    return process


def _environment(secret: str) -> dict[str, str]:
    """Ours, less what would make a node call somebody else or speak with another key."""
    unwanted = ("REQUESTY_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    return {**kept, "TIERED_CACHE_SECRET": secret}


def _ready(name: str, process: ChildProcess) -> Node:
    address = process.first_line(f"gateway node {name}").removeprefix("listening on ")
    return Node(name, f"{address.rstrip('/')}/v1", process.pid)
