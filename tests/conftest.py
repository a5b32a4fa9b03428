"""What every test may use: a real Valkey, a key prefix of its own, and an event loop that nothing may block."""

import asyncio
import inspect
import itertools
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from tiered_cache.errors import MissingExtraError
from tiered_cache.simulation.topologies import EmbeddedCluster, EmbeddedSentinel
from tiered_cache.simulation.valkey import EmbeddedValkey

pytest.register_assert_rewrite("tiered_cache.testing.tier_contract")

# No deadline: a loaded machine is no defect. Slow generation is: that check stays.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")

_prefixes = itertools.count()


def _allow_named_blocking(blocker: BlockBuster) -> None:
    """The exemptions, each with its reason."""
    for function in blocker.functions.values():
        # The harness starts, kills and restarts server processes; the code under test never does.
        function.can_block_in(
            "tiered_cache/simulation/valkey.py",
            {"__init__", "start", "stop", "kill", "freeze", "thaw"},
        )
        function.can_block_in("tiered_cache/simulation/topologies.py", {"command"})
        # Test modules may prepare and inspect files between awaits.
        function.can_block_in("_pytest/tmpdir.py", {"mktemp", "getbasetemp"})
        # A transport reads the system's certificates once, when it is made.
        function.can_block_in("httpcore2/_ssl.py", {"default_ssl_context"})
        # Tracebacks and assertion messages read source files.
        function.can_block_in("linecache.py", {"updatecache", "checkcache", "getlines"})


@pytest.fixture(autouse=True)
def never_block_the_loop(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """In an async test, blocking calls made by tiered_cache on the event loop's thread raise BlockingError."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield None
        return
    with blockbuster_ctx("tiered_cache") as blocker:
        _allow_named_blocking(blocker)
        yield blocker


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedValkey]:
    """One Valkey on a Unix socket for the whole session. Do not kill, freeze or flush it: take `own_valkey`."""
    try:
        server = EmbeddedValkey()
    except MissingExtraError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def redis_url(valkey_server: EmbeddedValkey) -> str:
    """Address of the session's Valkey; share it by using `prefix`."""
    return valkey_server.url


@pytest.fixture
def prefix() -> str:
    """First word of this test's Redis keys; no other test has it."""
    return f"t{next(_prefixes)}"


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedValkey]:
    """A Valkey of the test's own on a Unix socket: kill it, freeze it, fill it."""
    try:
        server = EmbeddedValkey()
    except MissingExtraError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    """One cluster for the whole session. Do not change it: take `own_cluster`."""
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster() -> Iterator[EmbeddedCluster]:
    """A cluster of the test's own."""
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def sentinel() -> Iterator[EmbeddedSentinel]:
    """A pair of the test's own with its Sentinel."""
    with EmbeddedSentinel() as sentinel:
        yield sentinel


@pytest.fixture
async def no_task_left() -> None:
    """Ask for it where every task must have ended when the test body ends."""
    yield
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
