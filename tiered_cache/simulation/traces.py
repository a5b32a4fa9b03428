"""Traces of LLM calls: rows of `ts_ms,key_id,prompt_tokens,output_tokens[,tenant]`, plain or gzipped."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from tiered_cache.errors import ConfigError

COLUMNS = ("ts_ms", "key_id", "prompt_tokens", "output_tokens")
_GZIP = b"\x1f\x8b"


class Row(Struct, frozen=True):
    """One LLM call of a trace.

    Attributes:
        ts_ms: arrival, milliseconds from any instant on.
        key_id: equal ids (of one tenant) are equal calls.
        prompt_tokens, output_tokens: what this call used.
        tenant: whose call it is; empty where the trace names none.
    """

    ts_ms: int
    key_id: int
    prompt_tokens: int
    output_tokens: int
    tenant: str = ""


def read_trace(path: str | Path) -> Iterator[Row]:
    """Read the rows of a trace in file order, one at a time; gzip is recognised by its first bytes.

    Raises:
        ConfigError: no such file, unreadable, another header, or a row that is not a call (line named).
    """
    file = Path(path)
    at = 1
    try:
        with _open(file) as text:
            lines = csv.reader(text)
            place = _columns(next(lines, list[str]()), file)
            for fields in lines:
                at = lines.line_num
                if fields:
                    yield _row(fields, place)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot read the trace {file}: {error}") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise ConfigError(
            f"{file}, line {at}: not a row of {','.join(COLUMNS)}[,tenant] ({error})"
        ) from error


def _open(file: Path) -> TextIO:
    with file.open("rb") as raw:
        zipped = raw.read(2) == _GZIP
    if zipped:
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def _columns(header: Sequence[str], file: Path) -> tuple[int, int, int, int, int | None]:
    names = [name.strip() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ConfigError(f"{file} is not a trace of LLM calls: its first line lacks {', '.join(missing)}")
    ts_ms, key_id, prompt, output = (names.index(name) for name in COLUMNS)
    return ts_ms, key_id, prompt, output, names.index("tenant") if "tenant" in names else None


def _row(fields: Sequence[str], place: tuple[int, int, int, int, int | None]) -> Row:
    ts_ms, key_id, prompt, output, tenant = place
    row = Row(
        int(fields[ts_ms]),
        int(fields[key_id]),
        int(fields[prompt]),
        int(fields[output]),
        "" if tenant is None else fields[tenant],
    )
    if min(row.ts_ms, row.prompt_tokens, row.output_tokens) < 0:
        raise ValueError("a negative number")
    return row
