"""How a thread sleeps, what a timeout is, who wins a race, how to count; and C1: idle is idle."""

from __future__ import annotations

import math
import threading
import time
from fractions import Fraction
from threading import Barrier
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import Defer, Signal, Worker, current, sleep, wait_event, wait_forever
from threadtree.parking import FOREVER, Claim, Gate, current_waiter, deadline_after, seconds
from threadtree.tally import Tally

from .bytecodes import at_each_bytecode, ctrl_c
from .helpers import LIMIT, Flag, described, hectic_switching, in_threads
from .programs import run

# -- timeouts ----------------------------------------------------------------------------------

HUGE = 10**400  # more than any float


def short(value: object) -> str:
    return repr(value).replace("0" * 400, "0...")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, FOREVER),
        (math.inf, FOREVER),
        (HUGE, FOREVER),
        (0, 0.0),
        (-1, 0.0),
        (-math.inf, 0.0),
        (-HUGE, 0.0),
        (1.5, 1.5),
        (Fraction(1, 4), 0.25),
    ],
    ids=short,
)
def test_a_timeout_is_a_number_of_seconds_negative_is_zero(given, meant):
    assert seconds(given) == meant


@pytest.mark.parametrize("endless", [None, math.inf, 1e300, HUGE], ids=short)
def test_more_than_the_platform_can_wait_is_no_limit(endless):
    assert deadline_after(endless) == FOREVER


def test_a_deadline_is_of_the_monotonic_clock():
    before = monotonic()
    deadline = deadline_after(5)
    assert before + 5 <= deadline <= monotonic() + 5
    assert deadline_after(-5) <= monotonic()


@pytest.mark.parametrize("bad", [math.nan, "1", True, 1j, [], object()], ids=described)
def test_nan_and_what_is_no_number_raise_and_say_what_it_is_for(bad):
    for check in (seconds, deadline_after):
        with pytest.raises((TypeError, ValueError), match="timeout must be a number of seconds"):
            check(bad)
    with pytest.raises((TypeError, ValueError), match="grace must be"):
        seconds(bad, "grace must be")


# -- the gate ----------------------------------------------------------------------------------


def test_a_push_before_the_sleep_is_remembered_once():
    gate = Gate()
    for _ in range(3):
        gate.push(None)
    gate.pass_through()  # does not block
    before = monotonic()
    gate.pass_through(before + 0.01)  # has been closed by the first
    assert monotonic() >= before + 0.01


@pytest.mark.parametrize("deadline", [-math.inf, 0.0])
def test_a_deadline_in_the_past_does_not_block(deadline):
    Gate().pass_through(deadline)


@pytest.mark.parametrize("timeout", [LIMIT, math.inf, threading.TIMEOUT_MAX * 2])
def test_a_push_from_another_thread_opens_the_gate(timeout):
    gate, about_to_sleep = Gate(), Flag()

    def push() -> None:
        about_to_sleep.wait()
        gate.push(None)

    thread = threading.Thread(target=push)
    thread.start()
    about_to_sleep.set()
    before = monotonic()
    gate.pass_through(before + timeout)
    assert monotonic() < before + LIMIT
    thread.join()


def test_a_sleep_of_next_to_no_time_ends_also_where_the_interpreter_forgets_to():
    """CPython before 3.13, when the time is over before it looks how much is left."""
    ended = Flag()

    def sleep_on() -> None:
        gate = Gate()
        for number in range(3000):
            gate.push(None)
            gate.pass_through()
            gate.pass_through(monotonic() + number % 30 / 1e6)
        ended.set()

    threading.Thread(target=sleep_on, daemon=True).start()
    ended.wait()


def test_a_handler_that_takes_longer_than_the_wait_does_not_make_it_endless():
    ended = run("""
        def handle(*_):
            handled.go()
            over = time.monotonic() + 0.1
            while time.monotonic() < over:
                pass

        handled = Signal()
        signal.signal(signal.SIGALRM, handle)
        for wait in (
            lambda: sleep(0.05),
            lambda: Signal().wait(0.05),
            lambda: Lock("l").__enter__().wait(0.05),
            lambda: Queue("q").pop(0.05),
            lambda: main.wait_event("NEVER", 0.05),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            wait()
        say(handled)
    """)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_wake_up_is_lost_between_threads_that_look_and_then_sleep():
    gate, done, work = Gate(), [0], 2000
    ready = [0]  # written by one pusher each: what the sleeper looks at

    def sleeper() -> None:
        while done[0] < work:
            while done[0] < ready[0]:
                done[0] += 1
            if done[0] < work:
                gate.pass_through()

    def pusher() -> None:
        for _ in range(work):
            ready[0] += 1
            gate.push(None)

    with hectic_switching():
        in_threads(sleeper, pusher)


def test_the_waiter_of_a_native_thread_wakes_when_the_condition_has_come_true():
    condition, waiter, results = [], [], []
    waiting = Flag()

    def wait() -> None:
        waiter.append(current_waiter())
        waiting.set()
        waiter[0].wait_for(condition, FOREVER)
        results.append(list(condition))
        waiter[0].wait_for((), monotonic() + 0.001)
        results.append("in time")

    def wake() -> None:
        waiting.wait()
        waiter[0].wake()  # for nothing: it looks, and sleeps on
        condition.append("here")
        waiter[0].wake()

    in_threads(wait, wake)
    assert results == [["here"], "in time"]


# -- claims ------------------------------------------------------------------------------------


def test_a_claim_has_one_winner_who_stays_it_until_he_gives_it_back():
    claim = Claim()
    assert claim.winner is None
    assert claim.take("a")
    assert not claim.take("b")
    assert claim.take("a")
    assert claim.winner == "a"
    claim.give_back()
    assert claim.winner is None
    assert claim.take("b")
    assert not claim.take("a")


def test_racing_threads_agree_on_one_winner():
    rounds, racers = 200, [object() for _ in range(6)]
    claims = [Claim() for _ in range(rounds)]
    wins: list[list[object]] = [[] for _ in range(rounds)]
    barrier = Barrier(len(racers))

    def race(me: object) -> None:
        for claim, winners in zip(claims, wins, strict=True):
            barrier.wait(LIMIT)
            if claim.take(me):
                winners.append(me)

    with hectic_switching():
        in_threads(*[lambda me=me: race(me) for me in racers])
    assert all(len(winners) == 1 for winners in wins)
    assert [winners[0] for winners in wins] == [claim.winner for claim in claims]


@at_each_bytecode
def test_a_claim_that_is_taken_in_the_middle_of_a_taking_has_one_winner(interrupt):
    claim, others = Claim(), []
    mine = interrupt(lambda: claim.take("me"), lambda: others.append(claim.take("other")))
    assert [mine] != others
    assert claim.winner == ("me" if mine else "other")


@at_each_bytecode
def test_ctrl_c_in_the_taking_of_a_claim_leaves_an_answer_to_ask_for_again(interrupt):
    claim = Claim()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: claim.take("me"), ctrl_c)
    other = claim.take("other")
    assert claim.take("me") is not other


# -- tallies -----------------------------------------------------------------------------------


def about_to_fold() -> Tally:
    tally = Tally()
    for _ in range(1023):
        tally.add()
    return tally


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(-5, 5)), max_size=6))
def test_a_tally_is_the_sum_of_what_was_added_and_stays_small(additions):
    tally, total = Tally(), 0
    for times, amount in additions:
        for _ in range(times):
            tally.add(amount)
        total += times * amount
        assert tally.value == total
    assert len(tally) < 1024


def test_16_threads_add_exactly_and_the_tally_stays_small():
    tally, each = Tally(), 3000
    seen: list[int] = []

    def add() -> None:
        for _ in range(each):
            tally.add()

    def read() -> None:
        for _ in range(300):
            seen.append(tally.value)

    with hectic_switching():
        in_threads(read, *[add] * 16)
    assert tally.value == 16 * each
    assert seen == sorted(seen)  # nothing is ever seen twice, or missing, while it is folded
    for _ in range(1024):  # the last who folded may have left some
        tally.add()
    assert len(tally) < 1024


@at_each_bytecode
def test_t3_a_handler_may_add_and_read_in_the_middle_of_an_addition_or_a_reading(interrupt):
    tally = about_to_fold()

    def handler() -> None:
        assert tally.value in (1023, 1024)
        tally.add(10)
        assert tally.value in (1033, 1034)

    interrupt(tally.add, handler)
    assert tally.value == 1034


@at_each_bytecode
def test_a_reading_that_others_add_to_meanwhile_is_of_one_moment(interrupt):
    tally = about_to_fold()
    assert interrupt(lambda: tally.value, tally.add) in (1023, 1024)


@at_each_bytecode
def test_ctrl_c_in_an_addition_loses_nothing_else_and_folding_goes_on(interrupt):
    tally = about_to_fold()
    with pytest.raises(KeyboardInterrupt):
        interrupt(tally.add, ctrl_c)
    assert tally.value in (1023, 1024)
    before = tally.value
    for _ in range(1024):
        tally.add()
    assert tally.value == before + 1024
    assert len(tally) < 1024


# -- C1 ----------------------------------------------------------------------------------------


def test_c1_100_that_wait_use_no_cpu():
    never, defer = Signal(), Defer()
    waits = [
        wait_forever,
        lambda: sleep(3600),
        lambda: wait_event("NEVER FIRED"),
        lambda: wait_event("NEVER FIRED", timeout=3600),
        never.wait,
        lambda: never.wait(till=3600),
        lambda: never.wait(till=Signal()),
        defer.get,
        lambda: current().pause() and sleep(0),  # a pause holds the wait
    ]
    started = Barrier(101)

    def idle(wait) -> None:
        started.wait(LIMIT)
        wait()

    workers = [Worker(idle, parent=False).start(waits[i % len(waits)]) for i in range(90)]
    natives = [threading.Thread(target=idle, args=[never.wait]) for _ in range(10)]
    for thread in natives:
        thread.start()
    try:
        started.wait(LIMIT)
        Gate().pass_through(monotonic() + 0.05)  # let them come to rest
        before = time.process_time()
        Gate().pass_through(monotonic() + 0.3)
        used = time.process_time() - before
    finally:
        for worker in workers:
            worker.stop()
        never.go()
        for thread in [*workers, *natives]:
            thread.join(LIMIT)
    assert used < 0.02
