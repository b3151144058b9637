"""Lock: one at a time, and waiting inside for what others do in theirs."""

from __future__ import annotations

import threading
from time import monotonic, process_time

import pytest

from threadtree import (
    DONE,
    NEVER,
    DeadlockError,
    Lock,
    Signal,
    Thread,
    Till,
    WorkerCancelled,
    WorkerError,
    create_worker,
    current,
    graces,
    locked,
)

from .bytecodes import at_each_bytecode, ctrl_c
from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running
from .programs import run


def is_free(lock: Lock) -> bool:
    """Whether another thread can have the lock at once."""
    return Thread.run("taker", lambda please_stop: bool(lock.acquire().release() or 1)).join(LIMIT)


def waiter_for(lock: Lock, till: Signal | float | None = None) -> Thread[bool]:
    """A thread that is inside ``lock.wait()``."""

    def wait(please_stop: Signal) -> bool:
        with lock:
            return lock.wait(till)

    thread = Thread.run("waiter", wait)
    in_a_wait(thread)
    return thread


# -- one at a time -----------------------------------------------------------------------------


def test_only_one_thread_at_a_time_is_in_the_block():
    lock, inside, most = Lock("l"), [], []

    def enter() -> None:
        for _ in range(50):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    with hectic_switching():
        in_threads(*[enter] * 8)
    assert len(most) == 400
    assert max(most) == 1
    assert "free" in repr(lock)


def test_a_second_acquire_by_its_owner_raises_in_place_of_hanging():
    lock = Lock("mine")
    with lock:
        with pytest.raises(DeadlockError, match="mine"):
            lock.acquire()
        assert "taken" in repr(lock)
    assert is_free(lock)


def test_a_listener_that_wants_the_lock_of_the_code_below_it_gets_a_deadlock_error():
    lock = Lock()
    errors: list[str] = []

    def listener() -> None:
        with pytest.raises(DeadlockError):
            lock.acquire()
        errors.append("raised")

    with lock:
        current().later(listener)
        current().update()
    assert errors == ["raised"]
    assert is_free(lock)


def test_only_the_owner_gives_it_back_and_waits():
    lock = Lock()
    with pytest.raises(WorkerError, match=r"release\(\) needs"):
        lock.release()
    with pytest.raises(WorkerError, match=r"wait\(\) needs"):
        lock.wait(0)
    with lock:
        thread = Thread.run("other", lambda please_stop: lock.release())
        with pytest.raises(WorkerError):
            thread.join(LIMIT)
        assert "taken" in repr(lock)


def test_an_error_in_the_block_gives_the_lock_back():
    lock = Lock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert is_free(lock)


def test_acquire_handles_the_events_of_the_worker():
    lock, handled = Lock(), Flag()
    with lock:
        worker = create_worker(lambda: lock.acquire().release())
        worker.later(handled.set)
        handled.wait()
    worker.join(LIMIT)


def test_a_worker_that_is_stopped_while_it_wants_the_lock_leaves_it_to_others():
    lock = Lock()
    with lock:
        worker = create_worker(lock.acquire)
        other = create_worker(lambda: lock.acquire().release())
        in_a_wait(worker, other)
        worker.stop().join(LIMIT)
    other.join(LIMIT)
    assert is_free(lock)


@pytest.mark.parametrize("kind", ["paused", "busy"])
def test_one_that_cannot_take_the_lock_now_does_not_keep_it_from_the_next(kind):
    lock, go_on, busy = Lock(), Flag(), Flag()
    with lock:
        first = create_worker(lambda: lock.acquire().release())
        in_a_wait(first)
        if kind == "paused":
            first.pause()
            in_a_wait(first)
        else:
            first.later(lambda: busy.set() or go_on.wait())
            busy.wait()
        second = create_worker(lambda: lock.acquire().release())
        in_a_wait(second)
    second.join(LIMIT)
    assert first.is_running()
    go_on.set()
    first.resume().join(LIMIT)


# -- waiting inside ----------------------------------------------------------------------------


def test_leaving_the_block_signals_one_that_waits_first_come_first_served():
    lock, order = Lock(), []

    def wait(number: int, please_stop: Signal) -> None:
        with lock:
            assert lock.wait() is True
            order.append(number)
            in_order[number].set()
            go_on[number].wait()

    in_order = [Flag() for _ in range(3)]
    go_on = [Flag() for _ in range(3)]
    threads = []
    for number in range(3):
        threads.append(Thread.run("waiter", wait, number))
        in_a_wait(threads[-1])
    with lock:
        pass
    for number in range(3):  # each, when it leaves, signals the next
        in_order[number].wait()
        assert order == list(range(number + 1))
        go_on[number].set()
    Thread.join_all(threads, LIMIT)


@pytest.mark.parametrize("till", [0, -1, 0.001, DONE])
def test_a_wait_that_is_over_first_returns_false_with_the_lock_held(till):
    lock = Lock()
    with lock:
        assert lock.wait(till) is False
        assert "taken" in repr(lock)
        with pytest.raises(DeadlockError):
            lock.acquire()
    assert is_free(lock)


def test_a_till_signal_ends_the_wait():
    lock, till = Lock(), Signal()
    thread = waiter_for(lock, till)
    till.go()
    assert thread.join(LIMIT) is False


def test_a_waiter_that_is_over_waits_for_the_lock_itself():
    lock, till = Lock(), Signal()
    thread = waiter_for(lock, till)
    with lock:
        till.go()
        with pytest.raises(TimeoutError):
            thread.join(0.02)
    thread.join(LIMIT)


def test_it_is_the_leaving_not_the_waiting_of_another_that_signals():
    lock = Lock()
    first = waiter_for(lock)
    with lock:
        assert lock.wait(0) is False  # lets others in, but tells nobody
        in_a_wait(first)
        assert not any(signal for signal in lock._waiting)
    assert first.join(LIMIT) is True


def test_two_idle_waiters_use_no_cpu():
    lock, turns = Lock(), []

    def wait(please_stop: Signal) -> None:
        with lock:
            while not please_stop:
                lock.wait(please_stop)
                turns.append(1)

    threads = [Thread.run("idle", wait) for _ in range(2)]
    in_a_wait(*threads)
    with lock:
        pass
    in_a_wait(*threads)
    before = process_time()
    NEVER.wait(0.2)
    used = process_time() - before
    count = len(turns)
    for thread in threads:
        thread.stop()
    Thread.join_all(threads, LIMIT)
    assert count == 1  # the one that was signalled; it did not wake the other by waiting again
    assert used < 0.1


def test_100_waiters_on_one_lock_are_each_signalled_once():
    lock, signalled = Lock(), []

    def wait(please_stop: Signal) -> None:
        with lock:
            inside.append(1)
            signalled.append(lock.wait())

    inside: list[int] = []
    with hectic_switching():
        threads = [Thread.run("waiter", wait) for _ in range(100)]
        in_a_wait(*threads)
        assert len(inside) == 100
        with lock:
            assert signalled == []
        Thread.join_all(threads, LIMIT)
    assert signalled == [True] * 100


def test_nothing_is_missed_between_producers_and_consumers():
    lock, todo, done = Lock(), [], []
    total = 400

    def consume(please_stop: Signal) -> None:
        while True:
            with lock:
                while not todo and len(done) < total:
                    lock.wait()
                if len(done) == total:
                    return
                done.append(todo.pop())

    def produce() -> None:
        for number in range(total // 4):
            with lock:
                todo.append(number)

    with hectic_switching():
        consumers = [Thread.run("consumer", consume) for _ in range(4)]
        in_threads(*[produce] * 4)
        Thread.join_all(consumers, LIMIT)
    assert sorted(done) == sorted([*range(total // 4)] * 4)


def test_a_wait_handles_the_events_of_the_worker():
    lock, handled = Lock(), []
    thread = waiter_for(lock)
    for number in range(3):
        thread.later(handled.append, number)
    in_a_wait(thread)
    assert handled == [0, 1, 2]
    with lock:
        pass
    assert thread.join(LIMIT) is True


@pytest.mark.parametrize("till", ["soon", True, float("nan"), [1]])
def test_a_bad_till_raises_before_the_lock_is_given_away(till):
    lock, inside = Lock(), []
    with lock:
        worker = create_worker(lambda: inside.append(lock.acquire()) or lock.release())
        in_a_wait(worker)
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            lock.wait(till)
        assert inside == []
    worker.join(LIMIT)


# -- being stopped, told, paused while it waits ------------------------------------------------


def test_a_stopped_worker_has_the_lock_when_its_wait_raises():
    lock, held = Lock(), []

    def wait() -> None:
        with lock:
            try:
                lock.wait()
            finally:
                held.append(lock._held.get(None) == threading.get_ident())

    with running(wait) as worker:
        in_a_wait(worker)
        with lock:
            worker.stop()
        worker.join(LIMIT)
    assert held == [True]
    assert is_free(lock)


def test_a_told_thread_has_the_lock_when_its_wait_raises(monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.02)
    lock, held = Lock(), []

    def wait(please_stop: Signal) -> None:
        with lock:
            try:
                lock.wait()
            finally:
                held.append(lock._held.get(None) == threading.get_ident())

    thread = Thread.run("told", wait)
    in_a_wait(thread)
    thread.stop()
    with pytest.raises(WorkerCancelled):
        thread.join(LIMIT)
    assert held == [True]
    assert is_free(lock)


def test_a_signal_to_one_that_is_ended_meanwhile_goes_to_the_next():
    lock = Lock()

    def wait() -> None:
        with lock:
            lock.wait()

    with running(wait) as first:
        in_a_wait(first)
        second = waiter_for(lock)
        with lock:
            first.stop()
        first.join(LIMIT)
        assert second.join(LIMIT) is True


def test_a_pause_holds_a_wait_that_was_signalled_without_the_lock():
    lock = Lock()
    thread = waiter_for(lock)
    thread.pause()
    in_a_wait(thread)
    with lock:
        pass
    in_a_wait(thread)
    assert thread.is_running()
    assert is_free(lock)
    thread.resume()
    assert thread.join(LIMIT) is True


def test_a_stop_of_the_main_worker_ends_its_wait_with_the_lock_held():
    lock, main = Lock(), current()
    with lock:
        main.later(main.stop)
        assert lock.wait() is False
        assert "taken" in repr(lock)


# -- Ctrl-C ------------------------------------------------------------------------------------


@at_each_bytecode
def test_ctrl_c_in_acquire_leaves_the_lock_free(interrupt):
    lock = Lock()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lock.acquire, ctrl_c)
    # The last one comes when acquire() has returned.
    assert lock._held.get(None) is None or not interrupt.came


@at_each_bytecode
def test_ctrl_c_in_a_wait_comes_out_of_it_with_the_lock_held_and_leaves_no_entry(interrupt):
    lock, started = Lock(), []

    def wait() -> None:
        try:
            lock.wait(0)
        finally:
            started.append(lock._held.get(None) == threading.get_ident())

    with lock, pytest.raises(KeyboardInterrupt):
        interrupt(wait, ctrl_c)
    assert started == [True]
    assert not lock._waiting
    assert not lock._door


def test_ctrl_c_in_the_main_threads_waits_for_a_lock():
    ended = run("""
        lock = Lock()
        def hold(please_stop):
            with lock:
                has_it.go()
                please_stop.wait()
        has_it = Signal()
        holder = Thread.run("holder", hold)
        has_it.wait()
        try:
            later(ask)
            lock.acquire()
        except KeyboardInterrupt:
            say("acquire")
        holder.stop().join()
        with lock:
            try:
                later(ask)
                lock.wait()
            except KeyboardInterrupt:
                say("wait", lock)
        with lock:
            say("again")
    """)
    assert ended.lines[0] == "acquire"
    assert "taken" in ended.lines[1]
    assert ended.lines[2:] == ["again"]
    assert ended.returncode == 0


# -- locked ------------------------------------------------------------------------------------


def test_locked_lets_one_thread_at_a_time_into_the_function():
    inside, most = [], []

    @locked
    def work(number: int, *, add: int = 0) -> int:
        """What it does."""
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        return number + add

    with hectic_switching():
        in_threads(*[lambda: [work(n) for n in range(30)]] * 4)
    assert max(most) == 1
    assert work(1, add=2) == 3
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_a_locked_function_that_calls_itself_gets_a_deadlock_error_and_is_open_again():
    @locked
    def work(depth: int) -> None:
        if depth:
            work(depth - 1)

    with pytest.raises(DeadlockError, match="work"):
        work(1)
    work(0)


def test_waiting_for_a_lock_ends_in_time_by_the_till_not_later():
    lock = Lock()
    with lock:
        before = monotonic()
        assert lock.wait(Till(seconds=0.05)) is False
        assert 0.04 < monotonic() - before < LIMIT
