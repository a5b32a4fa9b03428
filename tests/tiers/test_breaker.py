"""The breaker against a model of its promise."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tiered_cache.tiers.breaker import Breaker, BreakerConfig

CONFIG = BreakerConfig(failures=3, window=5, forget_s=10.0, cool_down_s=1.0, max_cool_down_s=4.0, jitter=0.0)


def opened(at_s=0.0, config=CONFIG):
    breaker = Breaker(config)
    for _ in range(config.failures):
        breaker.failed(breaker.admit(at_s), at_s)
    return breaker


def test_it_opens_at_the_threshold_and_not_before():
    breaker = Breaker(CONFIG)
    for _ in range(2):
        breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.state == "closed"
    breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.state == "open"
    assert breaker.admit(0.999) is None


def test_successes_push_failures_out_of_the_window():
    breaker = Breaker(CONFIG)
    for outcome in "FSSSSFSSSSFSSSS":
        permit = breaker.admit(0.0)
        breaker.failed(permit, 0.0) if outcome == "F" else breaker.succeeded(permit)
    assert breaker.state == "closed"


def test_three_failures_in_five_open_it_though_successes_lie_between():
    breaker = Breaker(CONFIG)
    for outcome in "FSFSF":
        permit = breaker.admit(0.0)
        breaker.failed(permit, 0.0) if outcome == "F" else breaker.succeeded(permit)
    assert breaker.state == "open"


def test_failures_long_ago_are_forgotten():
    breaker = Breaker(CONFIG)
    for at_s in (0.0, 1.0, 12.0, 13.0):
        breaker.failed(breaker.admit(at_s), at_s)
    assert breaker.state == "closed"
    breaker.failed(breaker.admit(14.0), 14.0)
    assert breaker.state == "open"


def test_half_open_lets_one_probe_pass():
    breaker = opened()
    probe = breaker.admit(1.0)

    assert probe is not None
    assert breaker.state == "half-open"
    assert [breaker.admit(1.0 + wait) for wait in (0.0, 100.0)] == [None, None]
    breaker.succeeded(probe)
    assert breaker.state == "closed"


def test_each_failed_probe_doubles_the_cool_down_up_to_the_maximum():
    breaker, now_s = opened(), 0.0
    for cool_down_s in (1.0, 2.0, 4.0, 4.0):
        assert breaker.admit(now_s + cool_down_s - 0.01) is None
        now_s += cool_down_s
        probe = breaker.admit(now_s)
        assert probe is not None
        breaker.failed(probe, now_s)


def test_recovery_resets_the_cool_down():
    breaker = opened()
    breaker.failed(breaker.admit(1.0), 1.0)
    breaker.succeeded(breaker.admit(3.0))
    for _ in range(3):
        breaker.failed(breaker.admit(3.0), 3.0)
    assert breaker.admit(3.99) is None
    assert breaker.admit(4.0) is not None


def test_an_abandoned_probe_leaves_its_turn_to_the_next():
    breaker = opened()
    breaker.abandoned(breaker.admit(1.0))
    assert breaker.state == "open"
    assert breaker.admit(1.0) is not None


@pytest.mark.parametrize("late", ["failed", "succeeded", "abandoned"])
def test_outcomes_of_calls_from_before_the_change_are_ignored(late):
    breaker = Breaker(CONFIG)
    old = breaker.admit(0.0)
    for _ in range(3):
        breaker.failed(breaker.admit(0.0), 0.0)
    probe = breaker.admit(1.0)
    breaker.failed(old, 1.0) if late == "failed" else getattr(breaker, late)(old)
    assert breaker.state == "half-open"
    breaker.succeeded(probe)
    assert breaker.state == "closed"


def test_two_time_outs_in_a_row_open_it():
    breaker = Breaker(CONFIG)
    breaker.failed(breaker.admit(0.0), 0.025, 0.0)
    assert (breaker.state, breaker.suspect) == ("closed", True)
    breaker.failed(breaker.admit(0.025), 0.04, 0.025)
    assert breaker.state == "open"


def test_an_answer_between_two_time_outs_clears_the_suspicion():
    breaker = Breaker(CONFIG)
    breaker.failed(breaker.admit(0.0), 0.025, 0.0)
    breaker.succeeded(breaker.admit(0.03))
    assert not breaker.suspect
    breaker.failed(breaker.admit(0.04), 0.065, 0.04)
    assert breaker.state == "closed"


def test_all_that_time_out_together_are_one_time_out():
    """A process that stalls for a moment finds every lookup late; that says little about the tier."""
    breaker = Breaker(CONFIG)
    permits = [breaker.admit(0.001 * number) for number in range(20)]
    for number, permit in enumerate(permits):
        breaker.failed(permit, 0.025 + 0.001 * number, 0.001 * number)
    assert breaker.state == "closed"
    breaker.failed(breaker.admit(0.05), 0.075, 0.05)
    assert breaker.state == "open"


@pytest.mark.parametrize("draw, rests_s", [(0.0, 0.75), (0.5, 1.0), (0.999, 1.2495)])
def test_cool_downs_are_spread(draw, rests_s):
    breaker = Breaker(BreakerConfig(failures=1, cool_down_s=1.0), lambda: draw)
    breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.rests_s(0.0) == pytest.approx(rests_s)


def test_a_sign_of_life_ends_the_cool_down():
    breaker = opened()
    breaker.hurry(0.5)
    assert breaker.rests_s(0.5) == 0.0
    assert breaker.admit(0.5) is not None


def test_a_twin_starts_closed_with_the_same_thresholds():
    twin = opened().twin()
    assert twin.state == "closed"
    for _ in range(3):
        twin.failed(twin.admit(0.0), 0.0)
    assert twin.state == "open"


class BreakerModel(RuleBasedStateMachine):
    """Written from the promise: a window of outcomes, one probe, a doubling cool-down."""

    permits = Bundle("permits")

    def __init__(self):
        super().__init__()
        self.breaker = Breaker(CONFIG)
        self.now_s = 100.0
        self.state = "closed"
        self.epoch = 0
        self.window = deque(maxlen=CONFIG.window)
        self.last_failure_s = 0.0
        self.cool_down_s = CONFIG.cool_down_s
        self.retry_at_s = 0.0

    def become(self, state):
        self.state = state
        self.epoch += 1
        self.window.clear()

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 11.0]))
    def time_passes(self, seconds):
        self.now_s += seconds

    @rule(target=permits)
    def call(self):
        permit = self.breaker.admit(self.now_s)
        if self.state == "open" and self.now_s >= self.retry_at_s:
            self.become("half-open")
            expected = True
        else:
            expected = self.state == "closed"
        assert (permit is not None) == expected
        return (permit, self.epoch)

    @rule(call=consumes(permits))
    def it_succeeds(self, call):
        permit, epoch = call
        if permit is None:
            return
        self.breaker.succeeded(permit)
        if epoch == self.epoch:
            if self.state == "half-open":
                self.cool_down_s = CONFIG.cool_down_s
                self.become("closed")
            else:
                self.window.append(False)

    @rule(call=consumes(permits))
    def it_fails(self, call):
        permit, epoch = call
        if permit is None:
            return
        self.breaker.failed(permit, self.now_s)
        if epoch != self.epoch:
            return
        if self.state == "half-open":
            self.cool_down_s = min(2 * self.cool_down_s, CONFIG.max_cool_down_s)
            self.open()
            return
        if self.now_s - self.last_failure_s > CONFIG.forget_s:
            self.window.clear()
        self.last_failure_s = self.now_s
        self.window.append(True)
        if sum(self.window) >= CONFIG.failures:
            self.open()

    @rule(call=consumes(permits))
    def it_is_cancelled(self, call):
        permit, epoch = call
        if permit is None:
            return
        self.breaker.abandoned(permit)
        if epoch == self.epoch and self.state == "half-open":
            self.become("open")

    def open(self):
        self.become("open")
        self.retry_at_s = self.now_s + self.cool_down_s

    @invariant()
    def states_agree(self):
        assert self.breaker.state == self.state


TestBreakerModel = BreakerModel.TestCase
TestBreakerModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
