"""Till: a signal that goes at a moment, by the timer thread, early only at a shutdown."""

from __future__ import annotations

import gc
import random
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial, reduce
from operator import and_, or_
from time import monotonic, process_time
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import (
    DONE,
    NEVER,
    Lock,
    Queue,
    Signal,
    Thread,
    Till,
    create_worker,
    shutdown,
    timers,
    wait,
)

from .bytecodes import at_each_bytecode
from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running
from .programs import run

FAR = 3600.0  # seconds: never, for a test


def armed() -> list[timers.Timer]:
    """The timers that the process keeps for something that is still there."""
    thread = timers._thread_of_timers
    known = [timer for *_, timer in thread._heap.copy()]
    while True:
        try:
            return [timer for timer in (*known, *thread._inbox) if timer.pending]
        except RuntimeError:  # without a GIL: the thread has taken one in meanwhile
            known = [timer for *_, timer in thread._heap.copy()]


# -- the moment ------------------------------------------------------------------------------------


def test_a_till_goes_when_its_seconds_are_over_and_not_before():
    assert not Till(seconds=FAR)
    before = monotonic()
    till = Till(seconds=0.05)
    assert till.wait() is True
    assert monotonic() - before >= 0.05
    assert till


@pytest.mark.parametrize("seconds", [0, -1, -0.0, float("-inf")])
def test_no_seconds_are_a_go_at_once(seconds):
    till = Till(seconds=seconds)
    assert till
    assert till.wait(0) is True
    assert armed() == []


def test_a_till_at_a_unix_time():
    assert Till(till=time.time() + 0.05).wait(LIMIT) is True
    assert Till(till=time.time() - 1)
    assert Till(till=0)
    assert Till(till=-5)
    assert not Till(till=time.time() + FAR)


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, 10**400])
def test_infinity_never_comes(seconds):
    till = Till(seconds=seconds)
    assert not till
    assert till.wait(0.001) is False
    assert not Till(till=seconds)


def test_a_till_that_nobody_asked_the_timer_for_is_true_by_the_clock():
    till = Till(seconds=0.01)
    assert armed() == []
    NEVER.wait(0.02)
    assert till


@pytest.mark.parametrize("options", [{}, {"seconds": 1, "till": 1}])
def test_a_till_needs_one_of_its_arguments(options):
    with pytest.raises(TypeError, match="either seconds, or till"):
        Till(**options)


@pytest.mark.parametrize("name", ["seconds", "till"])
@pytest.mark.parametrize("value", ["1", True, [1], float("nan")])
def test_a_till_refuses_what_is_no_number(name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} must be a number"):
        Till(**{name: value})


def test_the_timer_thread_is_precise():
    late = []

    def measure(moment: float) -> None:
        late.append(monotonic() - moment)

    for _ in range(5):  # a loaded machine may spoil an attempt
        late.clear()
        done = Signal()
        moments = [monotonic() + 0.05 + number * 0.002 for number in range(51)]
        for moment in moments:
            till = Till(seconds=moment - monotonic())
            till.then(lambda moment=moment: measure(moment))
        till.then(done.go)
        assert done.wait(LIMIT)
        if statistics.median(late) < 0.001:
            break
    assert min(late) >= 0
    assert statistics.median(late) < 0.001


def test_waiting_for_tills_uses_no_cpu():
    threads = [
        Thread.run("waits", lambda please_stop: (please_stop | Till(seconds=FAR)).wait())
        for _ in range(20)
    ]
    in_a_wait(*threads)
    before = process_time()
    NEVER.wait(0.2)
    used = process_time() - before
    for thread in threads:
        thread.stop()
    Thread.join_all(threads, LIMIT)
    assert used < 0.1


def test_tills_go_in_the_order_of_their_moments():
    spans = random.Random(0).sample([number * 1e-4 for number in range(100)], 100)
    for lead in (0.05, 0.5, 5.0):  # seconds until the first; a loaded machine may need more
        start, order, all_went = monotonic() + lead, [], Flag()

        def note(till: Till, order: list[Till] = order, all_went: Flag = all_went) -> None:
            order.append(till)
            if len(order) == len(spans):
                all_went.set()

        for span in spans:
            till = Till(seconds=start + span - monotonic())
            till.then(partial(note, till))
        in_time = monotonic() < start
        all_went.wait()
        if in_time:  # those that came before they were asked for have gone out of turn
            break
    assert order == sorted(order, key=lambda till: till._deadline)


# -- as a signal -----------------------------------------------------------------------------------


def test_then_runs_although_nobody_keeps_the_till():
    ran = Flag()
    Till(seconds=0.01).then(ran.set)
    gc.collect()
    ran.wait()


def test_then_on_a_composite_with_a_till_runs_although_nobody_keeps_it():
    either, both = Flag(), Flag()
    (Till(seconds=0.01) | Signal()).then(either.set)
    (Till(seconds=0.01) & Till(seconds=0.02) & DONE).then(both.set)
    gc.collect()
    either.wait()
    both.wait()


def test_a_till_in_expressions():
    till = Till(seconds=FAR)
    assert (till | None) is till
    assert (till | False) is till
    assert (till | True) is DONE
    assert (till & True) is till
    assert (till & False) is NEVER
    assert (None | till) is till
    assert not till | Signal()
    assert (till | Signal().go()).wait(0)


def test_a_till_is_a_till_of_every_wait():
    lock, queue = Lock(), Queue("q")
    thread = Thread.run("t", lambda please_stop: please_stop.wait())
    assert Signal().wait(Till(seconds=0.01)) is False
    assert queue.pop(till=Till(seconds=0.01)) is None
    with lock:
        assert lock.wait(till=Till(seconds=0.01)) is False
    with pytest.raises(TimeoutError):
        thread.join(till=Till(seconds=0.01))
    assert wait(Till(seconds=0.01)) is True
    assert thread.stop().join(LIMIT) is True


def test_a_till_is_a_key():
    first, second = Till(seconds=FAR), Till(seconds=FAR)
    names = {first: "first", second: "second"}
    assert names[first] == "first"
    assert first != second


def test_a_till_can_be_let_go_by_hand():
    ran = []
    till = Till(seconds=FAR).then(lambda: ran.append(1))
    assert till.go() is till
    assert ran == [1]
    assert armed() == []


def test_waiting_for_a_till_handles_the_events_of_the_worker():
    handled = []
    worker = create_worker(lambda: Till(seconds=FAR).wait())
    in_a_wait(worker)
    worker.later(handled.append, 1)
    in_a_wait(worker)
    assert handled == [1]
    worker.stop().join(LIMIT)


def test_a_stop_ends_the_wait_of_a_worker_for_a_till():
    with running(lambda: Till(seconds=FAR).wait()) as worker:
        in_a_wait(worker)
    assert worker.state.name == "CANCELLED"


def test_ctrl_c_ends_the_main_threads_wait_for_a_till():
    ended = run("""
        later(ask)
        try:
            Till(seconds=60).wait()
        except KeyboardInterrupt:
            say("interrupted")
        say(bool(Till(seconds=60)))
    """)
    assert (ended.lines, ended.returncode) == (["interrupted", "False"], 0)


# -- nothing piles up ------------------------------------------------------------------------------


def test_a_till_that_is_not_waited_for_costs_no_timer():
    tills = [Till(seconds=FAR) for _ in range(1000)]
    assert armed() == []
    del tills


@pytest.mark.parametrize("use", ["drop", "wait", "then"])
def test_dropped_tills_do_not_pile_up(use):
    please_stop = Signal()
    for _ in range(5000):
        either = please_stop | Till(seconds=FAR)
        if use == "wait":
            either.wait(0)
        elif use == "then":
            callback = either.go
            either.then(callback)
            either.remove_then(callback)
            del callback
    link = ref(either)
    del either
    gc.collect()
    assert link() is None
    assert armed() == []
    assert not please_stop._dependents
    thread = timers._thread_of_timers
    swept = Signal()
    timers.Timer(monotonic(), swept.go)  # when this has come, what is gone has been swept
    assert swept.wait(LIMIT)
    assert len(thread._heap) + len(thread._inbox) < 1000


def test_a_wait_that_ended_early_leaves_no_timer():
    given, till = Signal(), Till(seconds=FAR)
    thread = Thread.run("waits", lambda please_stop: (given | till).wait())
    in_a_wait(thread)
    taken_in = Signal()
    timers.Timer(monotonic(), taken_in.go)  # when this has come, what came before is in the heap
    assert taken_in.wait(LIMIT)
    assert armed() != []
    given.go()
    thread.join(LIMIT)
    assert armed() == []


# -- at a shutdown ---------------------------------------------------------------------------------


def test_the_pending_tills_of_what_is_shut_down_go_at_once():
    called_back = Flag()

    def work(please_stop: Signal) -> list[bool]:
        Till(seconds=FAR).then(called_back.set)
        return [
            Till(seconds=FAR).wait(),
            Till(seconds=FAR).wait(),  # made when it was asked already
            (please_stop & Till(seconds=FAR)).wait(),
        ]

    thread = Thread.run("asked", work)
    in_a_wait(thread)
    assert thread.shutdown(grace=LIMIT) == []
    assert thread.join() == [True] * 3
    called_back.wait()


def test_the_tills_of_those_below_go_too_and_of_nobody_else():
    outer, mine = [], Till(seconds=FAR)

    def child(please_stop: Signal) -> bool:
        return Till(seconds=FAR).wait()

    def parent(please_stop: Signal) -> bool:
        outer.append(Thread.run("child", child))
        return outer[0].join()

    bystander = create_worker(lambda: Till(seconds=FAR).wait(), name="bystander")
    thread = Thread.run("parent", parent)
    in_a_wait(thread, bystander, *outer)
    assert thread.shutdown(grace=LIMIT) == []
    assert thread.join() is True
    in_a_wait(bystander)
    assert bystander.is_running()
    assert not mine
    bystander.stop().join(LIMIT)


def test_a_stop_alone_leaves_the_tills_to_their_time():
    def work(please_stop: Signal) -> bool:
        till = Till(seconds=FAR)
        please_stop.wait()
        return bool(till) or till.wait(0.001)

    thread = Thread.run("stopped", work)
    assert thread.stop().join(LIMIT) is False


def test_the_shutdown_of_everything_lets_tills_go():
    thread = Thread.run("t", lambda please_stop: [Till(seconds=FAR).wait() for _ in range(3)])
    in_a_wait(thread)
    before = monotonic()
    assert shutdown(grace=LIMIT) == []
    assert monotonic() - before < LIMIT / 2
    assert thread.join() == [True] * 3
    assert not Till(seconds=FAR)  # the main thread was not asked to end


def test_at_the_exit_pending_tills_go_at_once():
    ended = run("""
        graces.asked = 30
        def work(please_stop):
            say("went", Till(seconds=60).wait())
            say("again", (Till(seconds=60) | NEVER).wait())
            ready.go()
        ready = Signal()
        thread = Thread.run("work", work)
        started = Signal()
        thread.later(started.go)
        started.wait()
    """)
    assert (ended.lines, ended.returncode) == (["went True", "again True"], 0)


def test_an_orphan_that_loops_on_tills_does_not_spin_at_the_exit():
    ended = run("""
        def orphan():
            turns = 0
            while not enough.wait(Till(seconds=0.02)):
                turns += 1
            say("turns", turns < 1000)
        enough = Signal()
        worker = create_worker(orphan, parent=False)
        Till(seconds=0.3).then(enough.go)
    """)
    assert (ended.lines, ended.returncode) == (["turns True"], 0)


def test_a_till_of_a_thread_that_is_no_worker_keeps_its_time():
    tills = []
    foreign = threading.Thread(target=lambda: tills.append(Till(seconds=FAR)))
    foreign.start()
    foreign.join()
    assert shutdown(grace=0) == []
    assert not tills[0]


# -- races -----------------------------------------------------------------------------------------


def test_callbacks_given_and_taken_back_by_many_threads_keep_the_alarm_exact():
    with hectic_switching():
        for _ in range(30):
            till, ran, all_ran = Till(seconds=0.01), [], Flag()

            def note(ran: list[int] = ran, all_ran: Flag = all_ran) -> None:
                ran.append(1)
                if len(ran) == 4:
                    all_ran.set()

            def give(till: Till = till, note: Callable[[], None] = note) -> None:
                for _ in range(5):
                    callback = partial(int)
                    till.then(callback)
                    till.remove_then(callback)
                till.then(note)

            in_threads(*[give] * 4)
            all_ran.wait()
            assert len(ran) == 4
    all_fired = Flag()
    timers.Timer(monotonic(), all_fired.set)  # comes after those whose time is over
    all_fired.wait()
    assert armed() == []


@at_each_bytecode
def test_a_callback_is_taken_back_wherever_the_till_goes(interrupt):
    till, ran = Till(seconds=FAR), []
    callback = partial(ran.append, 1)
    till.then(callback)
    interrupt(lambda: till.remove_then(callback), till.go)
    assert ran in ([], [1])
    assert armed() == []


@pytest.mark.parametrize("shape", ["near", "far"])
@at_each_bytecode
def test_a_till_that_nobody_needs_any_more_is_let_go_wherever_that_happens(interrupt, shape):
    cancel, till, ran = Signal(), Till(seconds=FAR), []
    either = cancel | till if shape == "near" else (Signal() | (till | Signal())) | cancel
    interrupt(lambda: either.then(lambda: ran.append(1)), cancel.go)
    assert ran == [1]
    assert till._alarm is None or till._alarm.anchor is None
    if shape == "near":  # the far one is known to composites that have gone with us
        assert armed() == []


@at_each_bytecode
def test_a_callback_taken_back_while_another_is_given_leaves_the_alarm_right(interrupt):
    till, ran = Till(seconds=FAR), []
    either = Signal() | till
    first, second = partial(ran.append, 1), partial(ran.append, 2)
    either.then(first)
    interrupt(lambda: either.then(second), lambda: either.remove_then(first))
    assert till._alarm is not None
    assert till._alarm.anchor is till
    till.go()
    assert ran == [2]
    assert armed() == []


def test_100_threads_wait_for_one_till():
    till = Till(seconds=0.1)
    threads = [Thread.run("waits", lambda please_stop: till.wait()) for _ in range(100)]
    assert Thread.join_all(threads, LIMIT) == [True] * 100


# -- expressions -----------------------------------------------------------------------------------

LEAVES = 6  # four signals, a till that has come, and one that is far


def random_expression(choice: random.Random, depth: int) -> object:
    if depth == 0 or choice.random() < 0.2:
        return choice.choice([*range(LEAVES), None, False, True])
    operands = [random_expression(choice, depth - 1) for _ in range(choice.randint(2, 3))]
    return choice.choice("|&"), operands


def build(expression: object, leaves: list[Signal]) -> Signal:
    if isinstance(expression, tuple):
        symbol, operands = expression
        combine, start = (or_, NEVER) if symbol == "|" else (and_, DONE)
        return reduce(combine, [build(operand, leaves) for operand in operands], start)
    if expression is None or isinstance(expression, bool):
        return NEVER | expression
    return leaves[expression]


def truth(expression: object, went: set[int]) -> bool:
    if isinstance(expression, tuple):
        symbol, operands = expression
        return (any if symbol == "|" else all)(truth(operand, went) for operand in operands)
    if expression is None or isinstance(expression, bool):
        return bool(expression)
    return expression in went


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_10_000_random_expressions_do_what_a_model_says(seed):
    choice = random.Random(seed)
    for _ in range(100):
        leaves = [Signal(str(i)) for i in range(4)] + [Till(seconds=0), Till(seconds=FAR)]
        expression = random_expression(choice, 3)
        went = {4}
        for leaf in choice.sample(range(4), choice.randint(0, 4)):
            if choice.random() < 0.3:
                leaves[leaf].go()
                went.add(leaf)
        signal, ran = build(expression, leaves), []
        if signal is not NEVER:
            signal.then(lambda ran=ran: ran.append(1))
        for leaf in choice.sample(range(4), 4):
            assert bool(signal) is truth(expression, went), expression
            assert len(ran) == truth(expression, went), expression
            leaves[leaf].go()
            went.add(leaf)
        assert signal.wait(0) is truth(expression, went), expression
        leaves[5].go()
        went.add(5)
        assert bool(signal) is truth(expression, went), expression
