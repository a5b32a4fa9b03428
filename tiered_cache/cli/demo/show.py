"""Shows the demonstration from the first line to the last, and writes its figures."""

import importlib
import io
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tiered_cache.cli.demo.final import show_report
from tiered_cache.cli.demo.interrupts import Interrupts
from tiered_cache.cli.demo.options import Options
from tiered_cache.cli.demo.report import Report
from tiered_cache.cli.demo.screen import Screen, console_for
from tiered_cache.cli.demo.stage import standing
from tiered_cache.errors import ConfigError, MissingExtraError
from tiered_cache.simulation.behaviour import Settings
from tiered_cache.simulation.traces import read_trace

FIRST_TOKEN_S = 0.35
PER_TOKEN_S = 0.0125
ERROR_RATE = 0.02
_STANDARD_OUTPUT = Path("-")


def show(options: Options, interrupts: Interrupts) -> int:
    """Show it. Exit code 1 when something does not add up.

    Raises:
        ConfigError: a file cannot be used, a package is missing, or a process did not start.
        Interrupted: the user wants it to end.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no check mark gets a question mark
    if options.trace is not None:
        next(read_trace(options.trace), None)  # complains now, not after everything was started
    console = console_for(to_stderr=options.json == _STANDARD_OUTPUT)
    screen = Screen(console)
    screen.title()
    report = _played(options, screen, interrupts)
    show_report(console, report)
    if options.json is not None:
        _write(options.json, report)
    return 0 if report.sound else 1


def _played(options: Options, screen: Screen, interrupts: Interrupts) -> Report:
    settings = Settings(
        first_token_s=FIRST_TOKEN_S, per_token_s=PER_TOKEN_S, error_rate=ERROR_RATE, seed=options.seed
    )
    with ExitStack() as stack:
        with screen.waiting("starting a simulated Requesty, a Valkey and two gateway nodes"):
            stage, plays = stack.enter_context(standing(settings, interrupts, _plays))
        screen.standing(stage, settings)
        report: Report = interrupts.run(partial(plays.play, stage, options, screen))
    return report


def _plays() -> Any:
    """The part that needs the OpenAI SDK: importing it takes as long as the processes need to start."""
    try:
        return importlib.import_module("tiered_cache.cli.demo.play")
    except ImportError as error:
        raise MissingExtraError("the demonstration", "demo") from error


def _write(path: Path, report: Report) -> None:
    text = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    if path == _STANDARD_OUTPUT:
        sys.stdout.buffer.write(text)
        return
    try:
        path.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
