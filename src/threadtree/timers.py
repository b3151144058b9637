"""Timers: one heap, one thread, shared by everything in the process that waits for a moment.

The thread is started at the first need and ends 0.2 s after its heap is empty. Only it touches
the heap. Others leave a timer in ``_inbox`` or a mark in ``_cancelled``, both deques, so that no
lock is involved: cancelling is safe in signal handlers and finalizers. (Arming may have to start
the thread, for which the interpreter takes locks of its own.)
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final

from . import journal
from .forks import after_fork_in_child
from .native import Launch
from .parking import FOREVER, Claim, Gate

__all__ = ["Timer", "hurry", "noting_gone"]


LINGER: Final = 0.2  # seconds the thread stays when it has nothing to wait for


class Timer:
    """Calls ``callback()`` on the timer thread at the monotonic time ``deadline``.

    The callback must be short: it holds up every other timer. An error in it is logged.
    """

    __slots__ = ("_callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], object]) -> None:
        self.deadline = deadline
        self._callback: Callable[[], object] | None = callback
        if deadline != FOREVER:
            _thread_of_timers.arm(self)

    def cancel(self) -> None:
        """Count as gone. A callback that has begun goes on. Any thread, any signal handler."""
        if self._callback is not None:
            self._callback = None
            if self.deadline != FOREVER:
                _thread_of_timers.note_cancelled()

    @property
    def pending(self) -> bool:
        """Whether its time is still awaited."""
        return self._callback is not None

    @property
    def is_early(self) -> bool:
        """Whether it is to be fired although its time has not come."""
        return False

    def _fire(self) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        try:
            callback()
        except BaseException as error:
            journal.error("The callback of a timer raised", exc_info=error)


class _TimerThread:
    def __init__(self) -> None:
        self._inbox: deque[Timer] = deque()
        self._cancelled: deque[None] = deque()
        self._gate = Gate()
        self._running = Claim()  # won by the Launch whose thread serves the heap
        self._until = FOREVER  # when the thread means to wake: written by it, a hint to others
        self._hurried = False  # set by hurry(), taken back by the thread before it looks
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    # -- called by anyone ----------------------------------------------------------------------

    def arm(self, timer: Timer) -> None:
        self._inbox.append(timer)
        # Put, then look whether there is a thread; a thread that retires steps down first, then
        # looks at the inbox. So one of the two sees the other.
        try:
            self._ensure_thread()
        except BaseException:
            timer.cancel()
            # Another may have relied on the thread that we were about to start.
            with suppress(RuntimeError):
                self._ensure_thread()
            raise
        if timer.deadline < self._until or timer.is_early:
            self._gate.push(None)

    def note_cancelled(self) -> None:
        self._cancelled.append(None)
        self._sweep_soon()

    def noting_gone(self) -> Callable[[object], object]:
        """A callback for a weak reference: notes, once, that what a timer was for is gone.

        In C, as a Ctrl-C that came in a callback of the collector would be lost.
        """
        marks = map(self._cancelled.append, (None,))
        return partial(next, zip(marks, map(self._gate.push, (None,)), strict=True))

    def hurry(self) -> None:
        """Have those fired that are early by now."""
        self._hurried = True
        self._gate.push(None)

    def _sweep_soon(self) -> None:
        if self._is_to_sweep():
            self._gate.push(None)

    def _is_to_sweep(self) -> bool:
        # Sweeping when half are gone costs a constant for each; and when all are, it sees that.
        return len(self._cancelled) * 2 >= max(len(self._heap), 1)

    def _ensure_thread(self) -> None:
        if self._running.winner is not None:
            return
        launch = Launch("threadtree-timers", self._serve)
        try:
            if self._running.take(launch):
                launch.start()
        except BaseException:
            if self._running.winner is launch and launch.failed:
                self._running.give_back()
            raise

    # -- the timer thread ----------------------------------------------------------------------

    def _serve(self) -> None:
        leave_at = FOREVER  # when to retire; finite while there is nothing to wait for
        while True:
            self._take_in()
            if self._hurried:
                self._fire_early()
                self._take_in()
            self._fire_due()
            if self._heap:
                leave_at = FOREVER
                self._until = self._heap[0][0]
            else:
                leave_at = min(leave_at, monotonic() + LINGER)
                self._until = FOREVER
                if monotonic() >= leave_at and self._retire():
                    return
            # Looked at after _until was set: see arm(). And after the heap was: who cancelled in a
            # sweep may have compared with the old one, and left the rest to us.
            if not self._inbox and not self._is_to_sweep():
                self._gate.pass_through(min(self._until, leave_at))

    def _take_in(self) -> None:
        if self._is_to_sweep():
            self._cancelled.clear()
            self._heap = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
        while self._inbox:
            timer = self._inbox.popleft()
            if timer.is_early:  # it came after the others were hurried
                timer._fire()
            elif timer.pending:
                self._count += 1  # equal deadlines keep the order in which they were asked for
                heapq.heappush(self._heap, (timer.deadline, self._count, timer))

    def _fire_early(self) -> None:
        self._hurried = False
        for _, _, timer in self._heap:
            if timer.pending and timer.is_early:
                timer._fire()
                self._cancelled.append(None)

    def _fire_due(self) -> None:
        while self._heap and self._heap[0][0] <= monotonic():
            heapq.heappop(self._heap)[2]._fire()

    def _retire(self) -> bool:
        """Step down, unless a timer came in that nobody else would serve."""
        self._running.give_back()
        if not self._inbox:
            return True
        return not self._running.take(self)


_thread_of_timers = _TimerThread()


def noting_gone() -> Callable[[object], object]:
    """What a weak reference that a timer depends on takes as its callback."""
    return _thread_of_timers.noting_gone()


def hurry() -> None:
    """Have every timer fired that is early by now. Any thread."""
    _thread_of_timers.hurry()


class _Alarm(Timer):
    """Pushes a gate. Pending as long as there is one in ``gates``."""

    __slots__ = ("_gates",)

    def __init__(self, gates: list[Gate]) -> None:
        self._gates = gates
        super().__init__(FOREVER, self._ring)

    @property
    def pending(self) -> bool:
        return bool(self._gates)

    def _ring(self) -> None:
        for gate in self._gates.copy():
            gate.push(None)


def _with_alarm(gate: Gate, deadline: float, sleep: Callable[[], bool]) -> bool:
    """Sleep at the gate, which is pushed at the deadline at the latest."""
    gates = [gate]
    alarm = _Alarm(gates)
    try:
        alarm.deadline = deadline
        with suppress(RuntimeError):  # no more threads: it is needed only against a rare mishap
            _thread_of_timers.arm(alarm)
        return sleep()
    finally:
        gates.clear()  # one step in C, so Ctrl-C leaves nothing pending
        alarm.cancel()


Gate._with_alarm = _with_alarm


def _after_fork() -> None:
    # The threads that the timers were for are gone, and so is the one that served them.
    global _thread_of_timers
    _thread_of_timers = _TimerThread()


after_fork_in_child(_after_fork)
