"""Timers: one heap and one thread for all, in order, and nothing of them is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Barrier
from time import monotonic
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import timers
from threadtree.parking import FOREVER
from threadtree.timers import Timer

from .bytecodes import at_each_bytecode, ctrl_c
from .helpers import LIMIT, Flag, described, hectic_switching, in_threads

LONG = 3600.0


def in_an_hour() -> float:
    return monotonic() + LONG


def timer_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "threadtree-timers" and t.ident]


def end_of_the_timer_thread() -> float:
    """Wait for the timer thread to end by itself, and give the time when it has."""
    for thread in timer_threads():
        thread._started.wait(LIMIT)  # if another thread is about to begin it
        thread.join(LIMIT)
        assert not thread.is_alive(), "the timer thread does not end"
    return monotonic()


def held() -> int:
    """How many timers the timer thread knows of, cancelled ones and marks of them included."""
    known = timers._thread_of_timers
    return len(known._heap) + len(known._inbox) + len(known._cancelled)


def everything_is_seen_to() -> None:
    """Wait until the timer thread has looked at all that was asked of it until now."""
    flag = Flag()
    Timer(monotonic(), flag.set)
    flag.wait()


@contextmanager
def busy_timer_thread() -> Iterator[None]:
    """Meanwhile no timer fires, so that all that come are due at once."""
    begun, go_on = Flag(), Flag()

    def hold() -> None:
        begun.set()
        go_on.wait()

    Timer(0.0, hold)
    begun.wait()
    try:
        yield
    finally:
        go_on.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer thread ends as soon as it has nothing to do."""
    monkeypatch.setattr(timers, "LINGER", 0.0)
    end_of_the_timer_thread()


# -- order -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    deadlines=st.lists(st.sampled_from([-1.0, 0.0, 1e-9, 0.5, 1.0]), max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
)
def test_timers_fire_by_deadline_and_equal_ones_in_the_order_they_were_asked_for(
    deadlines, cancelled
):
    fired: list[int] = []
    with busy_timer_thread():
        armed = [Timer(d, lambda i=i: fired.append(i)) for i, d in enumerate(deadlines)]
        for i in cancelled & set(range(len(armed))):
            armed[i].cancel()
        done = Flag()
        Timer(2.0, done.set)
    done.wait()
    expected = [i for i in range(len(armed)) if i not in cancelled]
    assert fired == sorted(expected, key=deadlines.__getitem__)


def test_a_timer_does_not_fire_early():
    fired, flag = [], Flag()
    deadline = monotonic() + 0.02
    Timer(deadline, lambda: fired.append(monotonic()) or flag.set())
    flag.wait()
    assert fired[0] >= deadline


def test_a_timer_that_is_due_sooner_is_not_kept_waiting_by_one_that_is_due_later():
    late = Timer(in_an_hour(), print)
    everything_is_seen_to()  # the thread sleeps for an hour, or is about to
    everything_is_seen_to()
    late.cancel()


def test_a_callback_may_arm_and_cancel_timers():
    fired, flag = [], Flag()

    def first() -> None:
        fired.append("first")
        second.cancel()
        Timer(0.0, lambda: fired.append("third") or flag.set())

    with busy_timer_thread():
        Timer(0.0, first)
        second = Timer(0.0, lambda: fired.append("second"))
    flag.wait()
    assert fired == ["first", "third"]


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), KeyboardInterrupt()], ids=described)
def test_a_callback_that_raises_is_logged_and_stops_no_other(error, caplog):
    def fail() -> None:
        raise error

    Timer(0.0, fail)
    everything_is_seen_to()
    assert [record.exc_info[1] for record in caplog.records] == [error]


# -- cancelling --------------------------------------------------------------------------------


def test_a_cancelled_timer_does_not_fire_and_lets_go_of_its_callback_at_once():
    fired: list[int] = []

    def callback() -> None:
        fired.append(1)

    link = ref(callback)
    with busy_timer_thread():
        timer = Timer(0.0, callback)
        del callback
        timer.cancel()
        assert link() is None
        timer.cancel()
    everything_is_seen_to()
    assert fired == []


def test_cancelling_what_has_fired_does_nothing():
    flag = Flag()
    timer = Timer(0.0, flag.set)
    flag.wait()
    everything_is_seen_to()
    timer.cancel()
    timer.cancel()
    end_of_the_timer_thread()
    assert held() == 0


@pytest.mark.parametrize("live", [0, 1, 500])
def test_c2_cancelled_timers_do_not_pile_up(live):
    living = [Timer(in_an_hour(), print) for _ in range(live)]
    for _ in range(20_000):
        Timer(in_an_hour(), print).cancel()
    everything_is_seen_to()
    everything_is_seen_to()  # also what was cancelled while the thread was at it
    held_beside_living = held()
    for timer in living:
        timer.cancel()
    assert held_beside_living <= 2 * live + 2
    end_of_the_timer_thread()
    assert held() == 0


def test_c2_100_000_timers_pending_and_cancelled_cost_one_thread_and_leave_nothing():
    before = threading.active_count() - len(timer_threads())
    pending = [Timer(in_an_hour(), print) for _ in range(100_000)]
    assert threading.active_count() == before + 1
    everything_is_seen_to()
    for timer in pending:
        timer.cancel()
    end_of_the_timer_thread()
    assert held() == 0


def test_timers_cancelled_in_the_middle_of_a_sweep_are_swept_too():
    armed = [Timer(in_an_hour(), print) for _ in range(10)]

    class Last(Timer):
        """Looked at last in a sweep, when the others count as pending already."""

        __slots__ = ()

        @property
        def pending(self) -> bool:
            if not armed[0].pending:
                for timer in armed:
                    timer.cancel()
                self.cancel()
            return super().pending

    Last(2 * in_an_hour(), print)
    everything_is_seen_to()
    for timer in armed[:6]:
        timer.cancel()
    end_of_the_timer_thread()
    assert held() == 0


def test_a_timer_that_is_never_due_needs_no_thread_and_leaves_nothing_behind():
    end_of_the_timer_thread()
    for _ in range(100):
        Timer(FOREVER, print).cancel()
    assert not timer_threads()
    assert held() == 0


# -- the thread --------------------------------------------------------------------------------


def test_c2_timers_of_all_threads_share_one():
    used: list[threading.Thread] = []
    flags = [Flag() for _ in range(8)]

    def arm(flag: Flag) -> None:
        Timer(0.0, lambda: used.append(threading.current_thread()) or flag.set())
        flag.wait()

    end_of_the_timer_thread()
    with hectic_switching():
        in_threads(*[lambda flag=flag: arm(flag) for flag in flags])
    assert len(used) == 8
    assert set(used) == set(timer_threads())
    assert len(timer_threads()) == 1


def test_c2_the_thread_is_gone_0_2_s_after_its_heap_empties_and_not_before():
    end_of_the_timer_thread()
    fired: list[float] = []
    Timer(monotonic() + 0.25, lambda: fired.append(monotonic()))
    assert len(timer_threads()) == 1
    lingered = end_of_the_timer_thread() - fired[0]
    assert 0.2 <= lingered < 0.2 + LIMIT / 4


def test_c2_it_is_gone_0_2_s_after_all_timers_were_cancelled_too():
    end_of_the_timer_thread()
    pending = [Timer(in_an_hour(), print) for _ in range(10)]
    everything_is_seen_to()
    before = monotonic()
    for timer in pending:
        timer.cancel()
    lingered = end_of_the_timer_thread() - before
    assert 0.2 <= lingered < 0.2 + LIMIT / 4
    assert held() == 0


def test_a_timer_that_comes_while_the_thread_lingers_is_served_by_it():
    end_of_the_timer_thread()
    everything_is_seen_to()
    thread = timer_threads()
    served: list[threading.Thread] = []
    flag = Flag()
    Timer(0.0, lambda: served.append(threading.current_thread()) or flag.set())
    flag.wait()
    assert served == thread


@pytest.mark.usefixtures("impatient")
def test_every_timer_fires_although_the_thread_ends_in_that_moment():
    each = 100
    fired: list[tuple[int, int]] = []
    barrier = Barrier(4)

    def arm(n: int) -> None:
        for i in range(each):
            barrier.wait(LIMIT)
            flag = Flag()
            Timer(0.0, lambda i=i, flag=flag: fired.append((n, i)) or flag.set())
            flag.wait()

    with hectic_switching():
        in_threads(*[lambda n=n: arm(n) for n in range(4)])
    assert sorted(fired) == [(n, i) for n in range(4) for i in range(each)]


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The interpreter can start no thread, until this is called."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    end_of_the_timer_thread()
    monkeypatch.setattr(threading.Thread, "start", start)
    return monkeypatch.undo


def test_without_more_threads_a_timer_raises_and_the_next_works(no_more_threads):
    fired: list[int] = []
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Timer(0.0, lambda: fired.append(1))
    no_more_threads()
    everything_is_seen_to()
    assert fired == []


# -- whatever comes between --------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@at_each_bytecode
def test_t3_a_handler_may_arm_a_timer_in_the_middle_of_arming_one(interrupt):
    first, second = Flag(), Flag()
    interrupt(lambda: Timer(0.0, first.set), lambda: Timer(0.0, second.set))
    first.wait()
    second.wait()
    end_of_the_timer_thread()


@pytest.mark.usefixtures("impatient")
@at_each_bytecode
def test_ctrl_c_in_the_arming_of_a_timer_does_not_lose_one_that_another_thread_arms(interrupt):
    flag = Flag()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: Timer(0.0, int), lambda: (Timer(0.0, flag.set), ctrl_c()))
    flag.wait()
    end_of_the_timer_thread()


@at_each_bytecode
def test_a_timer_is_cancelled_once_wherever_it_fires_meanwhile(interrupt):
    fired: list[int] = []
    timer = Timer(FOREVER, lambda: fired.append(1))
    interrupt(timer.cancel, timer._fire)
    assert len(fired) <= 1
    timer._fire()
    assert len(fired) <= 1


def test_timers_of_the_past_do_not_keep_what_they_called_alive():
    class Owner:
        def method(self) -> None:
            flag.set()

    flag, owner = Flag(), Owner()
    link = ref(owner)
    timer = Timer(0.0, owner.method)
    flag.wait()
    everything_is_seen_to()
    del owner
    assert link() is None
    timer.cancel()
