"""later(timeout=...): a worker as its handle, no thread, and a stop that is a promise."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import (
    DeadlockError,
    Event,
    Worker,
    WorkerCancelled,
    WorkerState,
    async_,
    current,
    exit,
    jobs,
    later,
    laters,
    update,
    wait_event,
    wait_forever,
    wait_thread,
)
from threadtree.timers import Timer

from .bytecodes import at_each_bytecode, ctrl_c
from .helpers import LIMIT, Flag, described, hectic_switching, in_threads, running
from .test_timers import busy_timer_thread

SOON = 0.001
LONG = 3600.0


def all_are_queued() -> None:
    """Wait until what was asked for before this, with the timeout SOON, is queued at its target."""
    flag = Flag()
    Timer(monotonic() + SOON, flag.set)
    flag.wait()


def test_e1_an_event_that_is_fired_at_a_handle_is_rejected_once():
    rejected: list[Any] = []

    def job() -> tuple[int, int]:
        current().listen(lambda event: rejected.append(event.data[0].name), "EVENT_REJECT")
        called, stopped = later(bool, timeout=SOON), later(never, timeout=LONG)
        for handle in (called, stopped):
            handle.fire("BEFORE")
        stopped.stop()
        called.get(LIMIT)
        for handle in (called, stopped):
            handle.fire("AFTER")
        update()
        assert called.backlog == stopped.backlog == 0
        return called.rejected, stopped.rejected

    assert async_(job).get(LIMIT) == (2, 2)
    assert sorted(rejected) == ["AFTER", "AFTER", "BEFORE", "BEFORE"]


def test_e1_a_callback_never_runs_in_a_later_run_of_its_target():
    """The timer comes when the target has ended, and was started again; but nobody was told."""
    has_ended, go_on = Flag(), Flag()

    class Target(Worker[Any]):
        _steps_of_the_end = (
            *Worker._steps_of_the_end[:-1],
            lambda worker, run: (has_ended.set(), go_on.wait()),
            Worker._steps_of_the_end[-1],
        )

    target = Target(partial(wait_event, "END")).start()
    handle = target.later(never, timeout=LONG)
    target.fire("END")
    has_ended.wait()
    target.start()
    handle._queue()
    target.fire("END")
    go_on.set()
    target.join(LIMIT)
    assert handle.join(LIMIT).state is WorkerState.CANCELLED


def never() -> None:
    pytest.fail("a callback ran that must not")


# -- the call ----------------------------------------------------------------------------------


def test_the_callback_runs_in_the_loop_of_the_target_with_its_arguments():
    calls = []

    def callback(*args: Any, **kwargs: Any) -> str:
        calls.append((current(), args, kwargs))
        return "result"

    with running() as worker:
        handle = worker.later(callback, 1, 2, timeout=SOON, three=3)
        assert handle.get(LIMIT) == "result"
        assert calls == [(worker, (1, 2), {"three": 3})]
        assert wait_thread(handle) == (None, "result")
        assert worker.later(calls.clear) is None
        worker.stop().join(LIMIT)
    assert calls == []


def test_the_handle_is_a_daemon_worker_without_thread_or_parent_that_runs_until_the_call():
    with running() as worker:
        threads = threading.active_count()
        first = worker.later(never, timeout=LONG)
        handles = [worker.later(never, timeout=LONG) for _ in range(9)]
        assert threading.active_count() <= threads + 1
        assert isinstance(first, Worker)
        assert first.is_daemon()
        assert first.is_running()
        assert first.state is WorkerState.RUNNING
        assert first.name == "never"
        assert (first.parent, first.thread) == (None, None)
        assert not worker.children
        assert first.start() is first
        for handle in [first, *handles]:
            assert handle.stop() is handle


def test_the_handle_ends_in_success_when_the_callback_has_run_not_before():
    states, looked = [], Flag()

    def note() -> None:
        looked.wait()
        states.append(handle.state)

    with running() as worker:
        handle = worker.later(note, timeout=SOON)
        assert not handle.stopped
        looked.set()
        assert handle.join(LIMIT) is handle
        assert handle.stopped
        states.append(handle.state)
    assert states == [WorkerState.RUNNING, WorkerState.SUCCESS]


def test_equal_deadlines_run_in_the_order_they_were_asked_for(monkeypatch):
    ran: list[int] = []
    deadline = monotonic() + 0.02
    monkeypatch.setattr(jobs, "deadline_after", lambda span: deadline)
    for i in range(200):
        later(ran.append, i, timeout=1)
    done = later(int, timeout=1)
    monkeypatch.undo()
    done.get(LIMIT)
    assert ran == list(range(200))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=20))
def test_they_run_in_the_order_of_their_times_without_the_stopped_ones(asked):
    ran: list[int] = []
    with busy_timer_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "deadline_after", float)
        handles = [later(ran.append, i, timeout=span) for i, (span, _) in enumerate(asked)]
        last = later(int, timeout=5)
        for handle, (_, stopped) in zip(handles, asked, strict=True):
            if stopped:
                handle.stop()
    last.get(LIMIT)
    kept = [i for i, (_, stopped) in enumerate(asked) if not stopped]
    assert ran == sorted(kept, key=lambda i: asked[i][0])


def test_a_target_that_has_not_started_runs_it_after_its_start():
    ran: list[Any] = []
    worker = Worker(parent=False)
    handle = worker.later(lambda: ran.append(current()), timeout=SOON)
    all_are_queued()
    assert worker.backlog == 1
    worker.start()
    handle.join(LIMIT)
    worker.stop().join(LIMIT)
    assert ran == [worker]


def test_a_handle_that_nobody_holds_runs_and_is_collected_then():
    flag = Flag()
    with running() as worker:
        link = ref(worker.later(flag.set, timeout=SOON))
        gc.collect()
        flag.wait()
        worker.stop().join(LIMIT)
    gc.collect()
    assert link() is None


# -- timeouts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, -1, -math.inf, None, 0.0])
def test_zero_and_negative_mean_now_and_give_no_handle(timeout):
    ran: list[int] = []
    assert later(ran.append, 1, timeout=timeout) is None
    assert ran == []
    update()
    assert ran == [1]


@pytest.mark.parametrize("timeout", [math.inf, 1e300, threading.TIMEOUT_MAX], ids=described)
def test_without_a_limit_it_never_runs_but_can_be_stopped(timeout):
    handle = later(never, timeout=timeout)
    assert handle.is_running()
    handle.stop()
    assert handle.state is WorkerState.CANCELLED


@pytest.mark.parametrize("timeout", [math.nan, "1", True, 1j], ids=described)
def test_a_timeout_that_is_no_number_raises_and_queues_nothing(timeout):
    with running(parent=False) as worker:
        with pytest.raises((TypeError, ValueError), match="timeout must be a number"):
            worker.later(never, timeout=timeout)
        assert worker.backlog == 0
    assert not laters._pending


def test_what_cannot_be_called_raises():
    with pytest.raises(TypeError, match="later\\(\\) needs something callable, not 'x'"):
        later("x", timeout=LONG)
    assert not laters._pending


# -- stop --------------------------------------------------------------------------------------


def assert_cancelled(handle: Worker[Any]) -> None:
    assert handle.state is WorkerState.CANCELLED
    assert handle.stopped
    assert handle.please_stop
    assert handle.error is None
    with pytest.raises(WorkerCancelled):
        handle.get(LIMIT)
    assert handle not in laters._pending


def test_stop_before_the_time_keeps_the_callback_from_running():
    handle = later(never, timeout=SOON)
    handle.stop()
    all_are_queued()
    update()
    assert_cancelled(handle)
    handle.stop()
    assert_cancelled(handle)


@pytest.mark.parametrize("now", [False, True])
def test_stop_between_queueing_and_running_keeps_it_from_running(now):
    handle = later(never, timeout=SOON)
    all_are_queued()
    assert current().backlog == 1
    handle.stop(now)
    assert_cancelled(handle)
    update()
    assert_cancelled(handle)


def test_a_stop_by_the_callback_itself_or_after_it_changes_nothing():
    handle = later(lambda: handle.stop() and "result", timeout=SOON)
    assert handle.get(LIMIT) == "result"
    handle.stop()
    assert handle.state is WorkerState.SUCCESS
    assert handle.get() == "result"


def assert_ran_or_cancelled(handle: Worker[Any], ran: list[int]) -> None:
    """Exactly one of the two, and the handle knows which."""
    assert handle.stopped
    assert handle not in laters._pending
    assert handle.state is (WorkerState.SUCCESS if ran else WorkerState.CANCELLED)
    assert len(ran) <= 1


@at_each_bytecode
def test_wherever_the_stop_comes_the_callback_has_begun_before_or_never_runs(interrupt):
    ran: list[int] = []
    prevented: list[bool] = []
    handle = later(ran.append, 1, timeout=SOON)
    all_are_queued()
    interrupt(update, lambda: prevented.append(handle.stop().state is WorkerState.CANCELLED))
    assert_ran_or_cancelled(handle, ran)
    assert prevented == [not ran]


@at_each_bytecode
def test_wherever_the_call_comes_in_a_stop_the_handle_ends_once(interrupt):
    ran: list[int] = []
    handle = later(ran.append, 1, timeout=SOON)
    all_are_queued()
    interrupt(handle.stop, update)
    assert_ran_or_cancelled(handle, ran)


@at_each_bytecode
def test_wherever_the_target_ends_the_handle_ends_too(interrupt):
    worker = Worker(parent=False).start()
    handles = []
    interrupt(
        lambda: handles.append(worker.later(never, timeout=LONG)),
        lambda: worker.stop().join(LIMIT),
    )
    assert_cancelled(handles[0])
    assert not worker.stopped._jobs


@at_each_bytecode
def test_ctrl_c_in_later_leaves_it_asked_for_or_not(interrupt):
    ran: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: later(ran.append, 1, timeout=SOON), ctrl_c)
    all_are_queued()
    update()
    assert len(ran) <= 1
    assert not laters._pending


@at_each_bytecode
def test_ctrl_c_in_the_call_calls_at_most_once(interrupt):
    """And leaves a handle that ends at the latest with its target."""
    ran: list[int] = []
    with running() as target:
        handle = target.later(ran.append, 1, timeout=LONG)
        with pytest.raises(KeyboardInterrupt):
            interrupt(handle._call, ctrl_c)
        handle._timer.cancel()  # it has not come to its own call
    assert len(ran) <= 1
    assert handle.stopped


@at_each_bytecode
def test_ctrl_c_in_a_stop_can_be_followed_by_another(interrupt):
    handle = later(never, timeout=LONG)
    with pytest.raises(KeyboardInterrupt):
        interrupt(handle.stop, ctrl_c)
    handle.stop()
    assert_cancelled(handle)


def test_stops_from_several_threads_against_the_call():
    with running() as worker, hectic_switching():
        for _ in range(60):
            ran: list[int] = []
            handle = worker.later(ran.append, 1, timeout=1e-6)
            in_threads(handle.stop, handle.stop)
            handle.join(LIMIT)
            passed = Flag()
            worker.later(passed.set)
            passed.wait()
            assert_ran_or_cancelled(handle, ran)


# -- the end of the target, and of who asked ---------------------------------------------------


def stopped(worker: Worker[Any]) -> None:
    worker.stop().join(LIMIT)


def returned(worker: Worker[Any]) -> None:
    worker.fire("GO").join(LIMIT)


def crashed(worker: Worker[Any]) -> None:
    worker.fire("GO", ValueError()).join(LIMIT)
    assert isinstance(worker.error, ValueError)


def wait_for_go() -> None:
    error = wait_event("GO")
    if error:
        raise error


ends = pytest.mark.parametrize("end", [stopped, returned, crashed])


@ends
def test_the_handle_ends_with_its_target(end):
    worker = Worker(wait_for_go, parent=False, print_traceback=False).start()
    handle = worker.later(never, timeout=LONG)
    end(worker)
    assert_cancelled(handle)


@ends
def test_the_handle_ends_with_who_asked_for_it(end):
    handles = []

    def ask() -> None:
        handles.append(main.later(never, timeout=LONG))
        wait_for_go()

    main = current()
    worker = Worker(ask, parent=False, print_traceback=False).start()
    end(worker)
    assert_cancelled(handles[0])
    assert not main.stopped._jobs


def test_the_handle_ends_with_a_native_thread_that_asked_for_it():
    main, handles = current(), []
    thread = threading.Thread(target=lambda: handles.append(main.later(never, timeout=LONG)))
    thread.start()
    thread.join()
    handles[0].join(LIMIT)
    assert_cancelled(handles[0])


def test_a_target_that_has_ended_gives_a_handle_that_has_too():
    worker = Worker(int, parent=False).start().join()
    assert_cancelled(worker.later(never, timeout=LONG))
    assert worker.later(never) is None
    assert worker.rejected == 1


def test_a_restarted_target_does_not_run_what_was_asked_of_the_run_before():
    worker = Worker(parent=False).start()
    handle = worker.later(never, timeout=SOON)
    handle_of_none = worker.later(never, timeout=LONG)
    handle.stop()
    stopped(worker)
    worker.start()
    all_are_queued()
    stopped(worker)
    assert_cancelled(handle_of_none)


def test_a_stop_of_the_target_that_overtakes_the_queue_ends_the_handle():
    busy, go_on = Flag(), Flag()
    with running() as worker:
        worker.later(lambda: busy.set() or go_on.wait())
        busy.wait()
        handle = worker.later(never, timeout=SOON)
        all_are_queued()
        worker.stop(now=True)
        go_on.set()
        worker.join(LIMIT)
    assert_cancelled(handle)
    assert worker.rejected == 1


# -- errors ------------------------------------------------------------------------------------


def test_an_error_in_the_callback_is_that_of_a_listener_and_of_the_handle(caplog):
    errors: list[Event] = []
    error = ValueError("v")

    def fail() -> None:
        raise error

    with running() as worker:
        worker.listen(errors.append, "LISTENER_ERROR")
        handle = worker.later(fail, timeout=SOON)
        assert handle.join(LIMIT).state is WorkerState.ERROR
        assert worker.later(int, timeout=SOON).get(LIMIT) == 0  # it lives
        with pytest.raises(ValueError, match="v") as raised:
            handle.get()
        assert raised.value is error
    assert [event.data for event in errors] == [error]
    del handle
    gc.collect()
    assert len(caplog.records) == 1  # R1: one report


def test_an_exit_in_the_callback_ends_the_target():
    with running() as worker:
        handle = worker.later(exit, timeout=SOON)
        worker.join(LIMIT)
        assert worker.state is WorkerState.CANCELLED
        handle.join(LIMIT)


# -- waiting for it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        lambda handle: handle.get(),
        lambda handle: handle.get(LIMIT),
        lambda handle: wait_thread(handle)[1],
        lambda handle: handle.stopped.wait() and handle.result,
    ],
    ids=["get", "get with a timeout", "wait_thread", "stopped"],
)
def test_the_target_itself_may_wait_for_it_in_its_loop(wait):
    assert wait(later(lambda: "result", timeout=SOON)) == "result"
    with running(lambda: wait(later(lambda: "result", timeout=SOON))) as worker:
        assert worker.get(LIMIT) == "result"


def test_r3_a_join_by_the_target_itself_would_close_a_circle():
    """It handles no events, so the callback could never run."""

    def join() -> None:
        handle = later(never, timeout=SOON)
        try:
            handle.join()
        finally:
            handle.stop()

    with running(join, print_traceback=False) as worker, pytest.raises(DeadlockError):
        worker.get(1.0)


def test_a_join_by_another_thread_waits_for_the_callback():
    with running() as worker:
        handle = worker.later(lambda: "result", timeout=SOON)
        assert handle.join().result == "result"


# -- many --------------------------------------------------------------------------------------


def test_c2_10_000_pending_cost_at_most_one_thread_and_all_run():
    before = threading.active_count()
    ran: list[int] = []
    handles = [later(ran.append, i, timeout=0.1 + i * 1e-6) for i in range(10_000)]
    assert threading.active_count() <= before + 1
    handles[-1].get(LIMIT)
    assert ran == list(range(10_000))
    assert all(handle.state is WorkerState.SUCCESS for handle in handles)


def test_c2_100_000_pending_and_stopped_leave_nothing():
    before = threading.active_count()
    jobs = len(current().stopped._jobs)
    for _ in range(5):
        handles = [later(never, timeout=LONG) for _ in range(4_000)]
        assert threading.active_count() <= before + 1
        for handle in handles:
            handle.stop()
    assert not laters._pending
    assert len(current().stopped._jobs) == jobs


def test_many_threads_may_ask_one_worker():
    ran: list[tuple[int, int]] = []
    results: list[Callable[[], object]] = []

    def ask(n: int) -> None:
        handles = [worker.later(ran.append, (n, i), timeout=i * 1e-4 + 1e-6) for i in range(20)]
        for handle in handles:
            handle.join(LIMIT)
            results.append(handle.result)

    with running(wait_forever) as worker, hectic_switching():
        in_threads(*[lambda n=n: ask(n) for n in range(6)])
    assert sorted(ran) == [(n, i) for n in range(6) for i in range(20)]
    for n in range(6):
        mine = [i for m, i in ran if m == n]
        assert mine == sorted(mine)


def test_a_handle_can_be_awaited_for_by_a_worker_like_any_other():
    with running() as worker:
        handle = worker.later(lambda: 42, timeout=SOON)
        assert async_(handle.get).get(LIMIT) == 42
