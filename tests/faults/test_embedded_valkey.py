"""The embedded server itself: it starts, breaks and ends as told, and never outlives its parent."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tiered_cache.errors import ConfigError, MissingExtraError
from tiered_cache.simulation import valkey
from tiered_cache.simulation.valkey import EmbeddedValkey

PARENT = textwrap.dedent(
    """
    import sys, time
    from tiered_cache.simulation.valkey import EmbeddedValkey
    print(EmbeddedValkey().start().pid, flush=True)
    time.sleep(60)
    """
)


def is_running(pid):
    """The process exists and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone_within(pid, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def ping(url):
    host, port = url.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port)), timeout=5.0) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


def test_it_listens_on_loopback_at_a_port_of_its_own():
    with EmbeddedValkey(port=0) as one, EmbeddedValkey(port=0) as other:
        assert one.port != other.port
        assert ping(one.url) == ping(other.url) == b"+PONG\r\n"


def test_stopping_removes_process_and_directory_and_can_be_repeated():
    server = EmbeddedValkey().start()
    pid, folder = server.pid, Path(server.url.removeprefix("unix://")).parent
    assert folder.is_dir()
    server.stop()
    server.stop()
    assert not is_running(pid)
    assert not folder.exists()
    assert not server.alive


def test_a_frozen_server_can_be_stopped():
    server = EmbeddedValkey().start()
    server.freeze()
    pid = server.pid
    server.stop()
    assert not is_running(pid)


@pytest.mark.parametrize("port", [None, 0])
def test_after_a_kill_it_starts_again_at_the_same_address_without_its_data(port):
    with EmbeddedValkey(port=port) as server:
        url, pid = server.url, server.pid
        server.kill()
        assert not server.alive
        assert server.start().url == url
        assert server.pid != pid


def test_it_dies_with_a_parent_that_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        assert is_running(child)
        os.kill(parent.pid, signal.SIGKILL)
        assert gone_within(child, 10.0)
    finally:
        parent.kill()
        parent.stdout.close()
        parent.wait(10)


def test_it_ends_with_the_thread_that_started_it():
    """As documented: the kernel binds it to the thread."""
    server = EmbeddedValkey()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert gone_within(server.pid, 10.0)
    finally:
        server.stop()


def test_a_port_in_use_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="did not start"):
            EmbeddedValkey(port=taken.getsockname()[1]).start()


def test_what_needs_a_running_server_says_so():
    server = EmbeddedValkey()
    for use in (lambda: server.url, lambda: server.pid, server.kill, server.freeze, server.thaw):
        with pytest.raises(ConfigError):
            use()
    server.stop()


def test_without_the_package_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(valkey.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"\[embedded\]"):
        EmbeddedValkey()
