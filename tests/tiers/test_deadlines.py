"""Many deadlines on one timer do what `asyncio.timeout` does for each."""

import asyncio
import math
import socket
import threading
import time

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.engine.clock import SYSTEM_CLOCK
from tiered_cache.simulation.virtual import run_virtual
from tiered_cache.testing import sample_key
from tiered_cache.tiers.deadlines import Deadlines
from tiered_cache.tiers.guard import GuardedTier


async def held(block, seconds):
    """How a block ended in which its task waits so long, and when."""
    loop = asyncio.get_running_loop()
    how = "left"
    try:
        with block:
            await asyncio.sleep(seconds)
    except TimeoutError:
        how = "timeout"
    return how, loop.time()


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 0.1),
            st.one_of(st.floats(0.001, 0.1), st.just(1.001)),
            st.sampled_from([0.0005, 0.02, 0.3, 2.0]),
        ),
        max_size=30,
    ),
    st.sampled_from([0.0, 1.001, 7e7]),
)
def test_each_ends_at_its_own_instant(tasks, begins_s):
    """Neither late nor early by more than a tick, whatever else waits."""

    async def one(deadlines, begin_s, deadline_s, work_s):
        await asyncio.sleep(begin_s)
        began_s = asyncio.get_running_loop().time()
        how, ended_s = await held(deadlines.within(deadline_s), work_s)
        assert asyncio.current_task().cancelling() == 0
        return how, ended_s - began_s

    async def all_of_them():
        await asyncio.sleep(begins_s)
        deadlines = Deadlines()
        ends = await asyncio.gather(*(one(deadlines, *task) for task in tasks))
        await asyncio.sleep(3.0)  # nothing comes later
        assert deadlines._timer is None
        assert not deadlines._waiting
        return ends

    for (_, deadline_s, work_s), (how, took_s) in zip(tasks, run_virtual(all_of_them()), strict=True):
        if work_s < deadline_s - 1e-6:
            assert how == "left"
        if work_s > deadline_s + 0.001 + 1e-6:
            assert how == "timeout"
        assert math.isclose(took_s, min(work_s, deadline_s), abs_tol=0.0011)


def test_a_timer_is_shared_and_a_nearer_deadline_moves_it():
    async def main():
        deadlines = Deadlines()
        timers = set()

        async def one(begin_s, seconds):
            await asyncio.sleep(begin_s)
            with deadlines.within(seconds):
                await asyncio.sleep(0)
                timers.add(deadlines._timer)
                await asyncio.sleep(9.0)

        waits = (0.0, 2.0), (0.0, 2.0), (0.0, 3.0), (0.1, 0.9), (0.2, 1.3)
        tasks = [asyncio.create_task(one(*times)) for times in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert tasks[3].done()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0, abs=0.001)
        assert len(timers) == 2
        await asyncio.wait(tasks)
        assert all(isinstance(task.exception(), TimeoutError) for task in tasks)
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.001)

    run_virtual(main())


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_left_ends_at_the_next_turn(seconds):
    async def main():
        return await held(Deadlines().within(seconds), 1.0)

    how, ended_s = run_virtual(main())
    assert how == "timeout"
    assert ended_s <= 0.001


def test_an_endless_deadline_does_not_end():
    async def main():
        return await held(Deadlines().within(math.inf), 1e6)

    assert run_virtual(main())[0] == "left"


async def test_the_cancellation_of_others_passes():
    deadlines = Deadlines()

    async def waits():
        with deadlines.within(5.0):
            await asyncio.sleep(9.0)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not deadlines._waiting


async def test_a_cancellation_in_the_same_turn_as_the_deadline_passes_too():
    """As `asyncio.timeout`: who was told to go goes."""

    async def waits():
        with (deadline := Deadlines().within(5.0)):
            blocks.append(deadline)
            await asyncio.sleep(9.0)

    blocks = []
    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    blocks[0].expire()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_inner_of_two_ends_first_and_the_outer_goes_on():
    async def main():
        deadlines = Deadlines()
        with deadlines.within(0.5):
            inner = await held(deadlines.within(0.1), 9.0)
            outer = await held(deadlines.within(0.9), 0.2)
        return inner[0], outer[0]

    assert run_virtual(main()) == ("timeout", "left")


def test_the_outer_of_two_ends_both():
    async def main():
        deadlines = Deadlines()
        try:
            with deadlines.within(0.1):
                await held(deadlines.within(0.9), 5.0)
        except TimeoutError:
            return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(0.1, abs=0.0011)


def test_other_errors_pass_and_leave_nothing():
    async def main():
        deadlines = Deadlines()
        with pytest.raises(ZeroDivisionError), deadlines.within(1.0):
            raise ZeroDivisionError
        await asyncio.sleep(2.0)
        return asyncio.current_task().cancelling(), deadlines._waiting

    assert run_virtual(main()) == (0, {})


def test_another_event_loop_has_its_own_timer():
    deadlines = Deadlines()

    async def main():
        return (await held(deadlines.within(0.05), 9.0))[0]

    async def leaves_its_timer():
        with deadlines.within(0.02):
            await asyncio.sleep(0.001)
        assert deadlines._timer is not None

    run_virtual(leaves_its_timer())
    assert [run_virtual(main()), run_virtual(main())] == ["timeout", "timeout"]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_has_arrived_while_the_loop_was_busy_is_in_time(make_loop):
    async def receives_late():
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)

            async def receive():
                with Deadlines().within(0.03):
                    return await loop.sock_recv(here, 1)

            receiving = asyncio.create_task(receive())
            await asyncio.sleep(0.01)
            there.send(b"x")
            time.sleep(0.05)  # noqa: ASYNC251  # the loop is busy
            return await receiving

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(receives_late()) == b"x"


async def test_the_time_counts_from_the_loops_next_turn():
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    async def waits():
        with Deadlines().within(0.1):
            return await done

    waiting = asyncio.create_task(waits())
    loop.call_soon(time.sleep, 0.15)
    timer = threading.Timer(0.2, lambda: loop.call_soon_threadsafe(done.set_result, 1))
    timer.start()
    try:
        assert await waiting == 1
    finally:
        timer.cancel()


class Prompt:
    """A tier that answers some turns of the event loop after it was asked."""

    name = "L2"

    async def get(self, key):
        for _ in range(3):
            await asyncio.sleep(0)

    async def close(self):
        pass


async def test_many_lookups_at_once_are_not_too_late_because_they_are_many():
    tier = GuardedTier(Prompt(), read_deadline_s=0.025, write_deadline_s=1.0, clock=SYSTEM_CLOCK)

    async def call(number):
        await tier.get(sample_key(number))

    lookups = []
    for number in range(200):
        lookups.append(asyncio.create_task(call(number)))
        asyncio.get_running_loop().call_soon(time.sleep, 0.001)  # reading the next request
    await asyncio.gather(*lookups)
    assert tier.health().counts == {}
    await tier.close()


async def test_where_the_end_comes_late_the_time_is_given_once_more():
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    async def waits():
        with Deadlines().within(0.1):
            return await done

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0.05)
    time.sleep(0.1)  # noqa: ASYNC251  # the process is busy
    loop.call_later(0.05, done.set_result, 1)
    assert await waiting == 1


async def test_and_not_twice():
    async def waits():
        with Deadlines().within(0.05):
            await asyncio.sleep(5)

    async def is_busy():
        while True:
            time.sleep(0.01)  # noqa: ASYNC251
            await asyncio.sleep(0)

    busy = asyncio.create_task(is_busy())
    with pytest.raises(TimeoutError):
        await waits()
    busy.cancel()


def test_who_is_answered_in_the_turn_in_which_its_time_ends_has_its_answer():
    async def main():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        loop.call_at(0.1, answer.set_result, "answer")
        with Deadlines().within(0.1):
            return await answer

    assert run_virtual(main()) == "answer"


def test_who_leaves_in_a_former_loop_disturbs_nobody():
    deadlines = Deadlines()

    async def entered(loop_of_another):
        with deadlines.within(0.5):
            loop_of_another()
            await asyncio.sleep(0.1)

    async def main():
        return (await held(deadlines.within(0.05), 9.0))[0]

    def another():
        asyncio.events._set_running_loop(None)
        try:
            assert run_virtual(main()) == "timeout"
        finally:
            asyncio.events._set_running_loop(loop)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(entered(another))
    finally:
        loop.close()


async def test_the_turn_in_which_it_is_made_does_not_count():
    """What is to be sent is sent in the next one."""
    answer = asyncio.get_running_loop().create_future()

    async def waits():
        with Deadlines().within(0.1):
            return await answer

    waiting = asyncio.create_task(waits())
    asyncio.get_running_loop().call_soon(time.sleep, 0.0995)  # the timer would be due, and not be late
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, answer.set_result, 1)
    assert await waiting == 1
