"""Who shares with whom, through gateway processes on one real Valkey."""

import hashlib
import json
import urllib.request
from pathlib import Path

import pytest

from tests.integration.gateway_process import SECRET, GatewayProcess
from tiered_cache.simulation.process import SimulatedRequesty

CALL = {
    "model": "openai/gpt-4o-mini",
    "temperature": 0,
    "messages": [{"role": "user", "content": "Who shares?"}],
}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def file(tmp_path, redis_url, prefix):
    """The configuration that all nodes have; memory keeps nothing, so that only Valkey is shared."""
    path = Path(tmp_path) / "gateway.toml"
    path.write_text(
        '[cache]\nkey_headers = ["x-team"]\n[cache.memory]\ncapacity_bytes = 0\n'
        f'[cache.redis]\nurl = "{redis_url}"\nprefix = "{prefix}"\nread_deadline_s = 5.0\n'
        f'[cache.tenants]\n{digest("rqy_old")} = "acme"\n{digest("rqy_new")} = "acme"\n'
    )
    return str(path)


def node(upstream: SimulatedRequesty, file: str) -> GatewayProcess:
    return GatewayProcess("--upstream", upstream.url, "--config", file, TIERED_CACHE_SECRET=SECRET)


def ask(at: GatewayProcess, key="rqy_one", **headers: str) -> str:
    """Cache-Status of the answer."""
    fields = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{at.url}/chat/completions", json.dumps(CALL).encode(), fields)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
        return answer.headers["cache-status"]


def settle(at: GatewayProcess, **asked: str) -> None:
    """Ask until the answer has reached Valkey, where it is written behind."""
    for _ in range(50):
        if "hit" in ask(at, **asked):
            return
    raise AssertionError("never stored")


def test_gateways_of_two_upstreams_on_one_valkey_never_share(file):
    """SEMANTICS 1: origin_id, by default scheme, host, port and path prefix of the upstream."""
    with (
        SimulatedRequesty() as one,
        SimulatedRequesty() as other,
        node(one, file) as first,
        node(one, file) as same,
        node(other, file) as stranger,
    ):
        settle(first)
        assert "; hit" in ask(same), "another process of the same upstream"
        assert "fwd=uri-miss" in ask(stranger)


def test_a_rotated_key_keeps_its_tenants_entries_once_the_origin_has_accepted_it(file):
    """SEMANTICS 1: several keys per tenant; in a shared partition a hit needs a 2xx within auth_ttl."""
    with SimulatedRequesty() as upstream, node(upstream, file) as at:
        settle(at, key="rqy_old")
        assert "fwd=request" in ask(at, "rqy_new"), "not yet vouched for"
        assert "; hit" in ask(at, "rqy_new")
        assert "fwd=uri-miss" in ask(at, "rqy_stranger")


def test_a_variant_and_an_operators_key_header_tell_calls_apart(file):
    """SEMANTICS 1: x-tiered-cache-variant joins the key, and so do the operator's key_headers; others do not."""
    with SimulatedRequesty() as upstream, node(upstream, file) as at:
        settle(at)
        assert "; hit" in ask(at, x_other="1")
        for name in ("x-tiered-cache-variant", "x-team"):
            assert "fwd=uri-miss" in ask(at, **{name: "blue"})
            settle(at, **{name: "blue"})
            assert "fwd=uri-miss" in ask(at, **{name: "red"})
