"""Virtual time: timers fire in order and at once, while work of threads is waited for in real time."""

import asyncio
import time

import pytest

from tiered_cache.simulation.virtual import VirtualClock, VirtualTimeLoop, run_virtual


def test_days_pass_at_once_and_timers_fire_in_order():
    async def main() -> list[tuple[float, str]]:
        fired: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()

        async def sleeper(delay_s: float, name: str) -> None:
            await asyncio.sleep(delay_s)
            fired.append((loop.time(), name))

        await asyncio.gather(sleeper(86_400 * 9, "late"), sleeper(0.001, "soon"), sleeper(0, "now"))
        return fired

    start = time.monotonic()
    fired = run_virtual(main())

    assert fired == [(0, "now"), (pytest.approx(0.001), "soon"), (pytest.approx(86_400 * 9), "late")]
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("already_s", [0.0, 2.0**23, 1.7e9, 4e9])
def test_however_late_it_is_timers_come_due_in_order(already_s):
    async def main():
        loop = asyncio.get_running_loop()
        fired = []
        await asyncio.sleep(already_s)
        for name, delay_s in (("c", 3600.0), ("b", 0.25), ("a", 1e-12)):
            loop.call_later(delay_s, fired.append, name)
        loop.call_at(loop.time(), fired.append, "now")
        await asyncio.sleep(3601)
        return fired, loop.time() - already_s

    fired, took_s = run_virtual(main())
    assert set(fired[:2]) == {"now", "a"}
    assert fired[2:] == ["b", "c"]
    assert took_s == pytest.approx(3601, abs=0.01)


def test_no_timer_fires_while_a_thread_works():
    """A tier's deadline of 25 ms must not pass because a real read takes 1 ms."""

    async def main() -> tuple[str, float]:
        async with asyncio.timeout(0.025):
            answer = await asyncio.to_thread(_slow)
        return answer, asyncio.get_running_loop().time()

    assert run_virtual(main()) == ("read", 0.0)


def _slow() -> str:
    time.sleep(0.2)
    return "read"


def test_time_runs_again_after_a_failed_or_cancelled_job():
    async def main() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        job = asyncio.ensure_future(asyncio.to_thread(_slow))
        await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await asyncio.sleep(5)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(5)


def test_a_deadline_fires_where_nothing_else_can_happen():
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(600)


def test_a_loop_that_can_never_go_on_says_so_instead_of_hanging():
    loop = VirtualTimeLoop(real_limit_s=0.05)
    waiting = loop.create_future()
    try:
        with pytest.raises(RuntimeError, match="stands still"):
            loop.run_until_complete(waiting)
    finally:
        waiting.cancel()
        loop.close()


def test_wall_time_runs_with_virtual_time():
    async def main() -> tuple[float, float, float]:
        clock = VirtualClock(asyncio.get_running_loop(), epoch_s=1_000.0)
        before = clock.wall()
        await asyncio.sleep(30)
        return before, clock.wall(), clock.monotonic()

    assert run_virtual(main()) == (1_000.0, pytest.approx(1_030), pytest.approx(30))
