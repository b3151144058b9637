"""How a thread blocks and is woken, and how racing threads agree on one winner.

Nothing here knows of events, signals or workers. Every blocking wait of the library ends in
:meth:`Gate.pass_through`, so what must hold for all of them holds there: no polling, no wall
clock, and Ctrl-C interrupts the main thread.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from .forks import after_fork_in_child

__all__ = [
    "Claim",
    "Gate",
    "PlainWaiter",
    "Waiter",
    "current_waiter",
    "deadline_after",
    "here",
    "in_main_thread",
    "rouse_main",
    "seconds",
    "whereabouts",
]

FOREVER: Final = math.inf

# A native wait of Windows does not see Ctrl-C, so the main thread (only it, only there) looks up
# ten times a second. Everywhere else a signal interrupts the wait itself.
_MAIN_SLICE: Final = 0.1 if os.name == "nt" else FOREVER

# Two kinds of signal do not interrupt a sleep of the main thread, which alone handles them. One
# comes when that is about to sleep, but does not sleep yet: the interpreter has no such wait. When
# other threads want its lock, that moment is long enough to be met, and it comes just when a
# program has begun something. The other one is taken by a thread whose mask of signals changes just
# then, as it does at the start of a thread or program by it: the system gives a signal to whoever
# looks first. After the starts of our own threads, main is roused. For all others it looks up by
# itself in a long sleep: after these times, in seconds, and then again and again. A look takes some
# 20 us.
_FIRST_LOOKS: Final = (0.05, 0.5)
_LATER_LOOKS: Final = 1.0

# A timed get() that a signal interrupts goes on for the time which is left. If none is left when
# the handler has returned, CPython before 3.13 goes on for ever. So there the main thread, which
# calls the handlers, is woken by the timer thread, too.
_TIMED_GET_MAY_HANG: Final = sys.version_info < (3, 13)


def seconds(timeout: float | None, what: str = "timeout must be") -> float:
    """A timeout in seconds as given by a user: None is for ever, negative is 0, NaN raises."""
    if timeout is None:
        return FOREVER
    if isinstance(timeout, bool) or not hasattr(timeout, "__float__"):
        raise TypeError(f"{what} a number of seconds or None, not {timeout!r}")
    try:
        value = float(timeout)
    except OverflowError:  # a whole number beyond all floats
        value = math.copysign(math.inf, timeout > 0 or -1)
    if math.isnan(value):
        raise ValueError(f"{what} a number of seconds or None, not NaN")
    return max(value, 0.0)


def deadline_after(timeout: float | None, what: str = "timeout must be") -> float:
    """The monotonic time at which a timeout given now is over."""
    span = seconds(timeout, what)
    return FOREVER if span >= threading.TIMEOUT_MAX else monotonic() + span


class Gate:
    """What one thread sleeps at: it opens for any number of pushes, and closes behind the sleeper.

    A push before the sleep is remembered, so "look, then sleep" loses no wake-up as long as the
    waker first changes what is looked at, then pushes. The sleeper may wake for nothing and must
    look again.

    SimpleQueue is the one primitive of the interpreter whose waking side is re-entrant, so that
    it may be used in signal handlers and finalizers, and a single step in C, so that Ctrl-C
    cannot come between its parts; and whose sleeping side Ctrl-C does interrupt.
    """

    __slots__ = ("_pushes", "push")

    def __init__(self) -> None:
        self._pushes: SimpleQueue[object] = SimpleQueue()
        #: Open the gate; the argument is of no importance. Any thread, handler, finalizer.
        self.push: Callable[[object], None] = self._pushes.put

    def pass_through(self, deadline: float = FOREVER) -> None:
        """Sleep until the gate opens or the monotonic time ``deadline`` comes. The owner only."""
        opened = (
            self._opens_by(deadline) if not in_main_thread() else self._opens_for_main(deadline)
        )
        if opened:
            with suppress(Empty):  # nobody else takes, but a wait in a signal handler
                while not self._pushes.empty():
                    self._pushes.get_nowait()

    def _opens_for_main(self, deadline: float) -> bool:
        global _where_main_sleeps
        outer = _where_main_sleeps  # if this is a wait in a signal handler
        try:
            _where_main_sleeps = self
            if deadline == FOREVER or not _TIMED_GET_MAY_HANG:
                return self._opens_for_main_by(deadline)
            return self._with_alarm(deadline, partial(self._opens_for_main_by, deadline))
        finally:
            _where_main_sleeps = outer

    def _opens_for_main_by(self, deadline: float) -> bool:
        deadline = min(deadline, monotonic() + _MAIN_SLICE)
        looks = chain(_FIRST_LOOKS, repeat(_LATER_LOOKS))
        while True:
            look, left = next(looks), deadline - monotonic()
            if self._opens_within(min(left, look)):
                return True
            if left <= look:
                return False

    def _opens_by(self, deadline: float) -> bool:
        if deadline == FOREVER:
            self._pushes.get()
            return True
        # Looked at without waiting first. Inside of SimpleQueue, a lock stands for "empty", but
        # taking what is there leaves it open. Found open by a timed get(), that looks for the time
        # which is left: if that is over by then, CPython before 3.13 waits for ever.
        return self._opens_within(0.0) or self._opens_within(deadline - monotonic())

    def _opens_within(self, span: float) -> bool:
        try:
            self._pushes.get(timeout=min(max(span, 0.0), threading.TIMEOUT_MAX))
        except Empty:
            return False
        return True

    # Gives sleep(), having push(None) called at the deadline. Set by timers.py.
    _with_alarm: ClassVar[Callable[[Gate, float, Callable[[], bool]], bool]]


# Written by the main thread, read by those that rouse it: a single reference, and a push too many
# does no harm.
_where_main_sleeps: Gate | None = None


def rouse_main() -> None:
    """Have the main thread handle the signals that others may have taken. Any thread."""
    gate = _where_main_sleeps
    if gate is not None and not in_main_thread():
        gate.push(None)


# Something whose truth a thread waits for; whoever makes it true calls the waiter's ``wake``.
Condition: TypeAlias = object


class Claim:
    """One winner among racing threads. Asking again gives the same answer.

    ``dict.setdefault`` is one atomic operation on every interpreter. Unlike a lock that is taken
    without waiting, the answer cannot be lost with the call: when an exception such as Ctrl-C
    comes between the taking and the use of what it returned, the claimant just asks again.
    """

    __slots__ = ("_winner",)

    def __init__(self) -> None:
        self._winner: dict[None, object] = {}

    def take(self, who: object) -> bool:
        """Whether ``who`` is the winner, having become it now if nobody was."""
        return self._winner.setdefault(None, who) is who

    def give_back(self) -> None:
        """Let others win again. The winner only."""
        self._winner.pop(None, None)

    @property
    def winner(self) -> object | None:
        """Who has won so far, or None."""
        return self._winner.get(None)


class Waiter(Protocol):
    """What blocks on behalf of one thread: a worker's event loop, or a plain gate."""

    def wake(self) -> None:
        """Make the waiter look at its condition again. Safe everywhere."""

    def wait_for(self, condition: Condition, deadline: float) -> None:
        """Block until the condition holds or the deadline has come. The owning thread only."""

    def will_look_at(self, condition: Condition) -> bool:
        """Whether it sleeps for this condition, and looks at it first when it is woken.

        Who wakes only one of many must choose such a one. Another may be paused, or busy with an
        event. Any thread.
        """

    def look(self) -> None:
        """What a wait does that need not block: handle what is queued. The owning thread only."""

    @property
    def word(self) -> Condition:
        """True when waits should end, as the thread was asked to; never, where they raise."""


class PlainWaiter:
    """The waiter of a thread that has no event loop: it just sleeps."""

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        self._gate = Gate()

    def wake(self) -> None:
        self._gate.push(None)

    def will_look_at(self, condition: Condition) -> bool:
        return True  # it has nothing else to do

    def look(self) -> None:
        pass

    @property
    def word(self) -> Condition:
        return False

    def wait_for(self, condition: Condition, deadline: float) -> None:
        while not condition and monotonic() < deadline:
            self._gate.pass_through(deadline)


class _Here(threading.local):
    """What this thread is to the library. Only the thread itself reads and writes it.

    Class attributes are the defaults of every thread: an ``__init__`` would run in each.
    """

    stack: Sequence[
        Any
    ] = ()  # the workers on this thread, innermost last; a list once there is one
    slot: object = None  # lives as long as the thread does


here: Final = _Here()
_main_thread = threading.main_thread().ident


def in_main_thread() -> bool:
    """Whether this is the main thread."""
    return threading.get_ident() == _main_thread


def _after_fork() -> None:
    global _main_thread, _where_main_sleeps
    if not in_main_thread():
        _where_main_sleeps = None  # that thread is gone
    _main_thread = threading.get_ident()


after_fork_in_child(_after_fork)


def whereabouts() -> str:
    """For the log: the path of the worker whose thread this is, or the native thread's name."""
    stack = here.stack
    return stack[-1].path if stack else threading.current_thread().name


def current_waiter() -> Waiter:
    """What the calling thread blocks with: the innermost event loop that runs on it, if any."""
    stack = here.stack
    return stack[-1] if stack else PlainWaiter()
