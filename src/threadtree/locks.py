"""Lock: one thread at a time, and a way for those inside to wait for those that come next.

There is no native lock below it: a thread that cannot have it waits as it does for anything,
handling its events. Whoever gives the lock back first opens it, then looks who waits at
the door; whoever waits first puts itself there, then looks whether it is open. One of them is woken
that is sure to look; also those before it, which are paused, or busy with an event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from threading import get_ident
from typing import ParamSpec, Self, TypeVar

from .errors import INTERRUPTS, DeadlockError, WorkerError
from .parking import FOREVER, PlainWaiter, Waiter, current_waiter
from .signals import Signal, limits

__all__ = ["Lock", "locked"]

P = ParamSpec("P")
T = TypeVar("T")


class Lock:
    """A lock for a ``with`` block, in which one can wait for what others do in theirs.

    Leaving the block signals one of those that :meth:`wait`, first come, first served. It is not
    re-entrant: who has it and asks for it again gets a DeadlockError. Any thread; not in a signal
    handler. While a worker waits for the lock its events are handled. (From mo-threads.)

    >>> from threadtree import Lock, Thread
    >>> lock, todo = Lock(), []
    >>> def consume(please_stop):
    ...     with lock:
    ...         while not todo:
    ...             lock.wait()
    ...         return todo.pop()
    >>> consumer = Thread.run("consumer", consume)
    >>> with lock:
    ...     todo.append("this")
    >>> consumer.join()
    'this'
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        # The thread that has the lock: it has it by entering itself. One atomic step takes it, and
        # if that was interrupted, one can see whether it came about.
        self._held: dict[None, int] = {}
        # Those who want the lock: single atomic operations, and read through .copy().
        self._door: dict[_AtTheDoor, None] = {}
        self._waiting: deque[Signal] = deque()  # for those inside wait(); the owner's to touch

    def __repr__(self) -> str:
        return f"<Lock {self.name or hex(id(self))}: {'taken' if self._held else 'free'}>"

    def acquire(self) -> Self:
        """Take the lock, when it is free. Returns self.

        Raises DeadlockError if this thread has it; WorkerExit if the worker is asked to end first.
        """
        self._acquire(current_waiter)
        return self

    def release(self) -> None:
        """Signal one of those that wait, and give the lock back. WorkerError if it is not ours."""
        try:
            self._check_owner("release()")
            if self._waiting:
                self._waiting[0].go()
                self._waiting.popleft()
        finally:
            self._open()  # nothing, if it is not ours

    __enter__ = acquire

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def wait(self, till: Signal | float | None = None) -> bool:
        """Give the lock to others, until one of them leaves its block, or ``till`` comes first.

        ``till`` is a signal or a number of seconds. Returns whether we were signalled. The lock is
        ours again in any case, also when this raises: WorkerExit, if the worker is asked to end.
        WorkerError outside of the block. A pause holds it like any wait.
        """
        self._check_owner("wait()")
        limits(till)  # raises for a bad one while nobody else can come in
        signal = Signal("signalled")
        interrupt: BaseException | None = None
        try:
            self._waiting.append(signal)
            self._open()
            signal.wait(till)
        finally:
            while True:
                try:
                    self._take_back(signal)
                    break
                except INTERRUPTS as error:  # raised when the lock is ours
                    interrupt = error
            if interrupt is not None:
                raise interrupt
        return bool(signal)

    # -- taking and giving ---------------------------------------------------------------------

    def _check_owner(self, what: str) -> None:
        if self._held.get(None) != get_ident():
            raise WorkerError(f"{what} needs {self!r} to be taken by this thread: use it in a with")

    def _acquire(self, waiter_of_this_thread: Callable[[], Waiter]) -> None:
        me = get_ident()
        if self._held.get(None) == me:
            raise DeadlockError(f"this thread has {self!r} already, and would wait for itself")
        try:
            if self._held.setdefault(None, me) is not me:
                self._queue_up(me, waiter_of_this_thread())
        except BaseException:
            self._open()  # if it is ours by now
            raise

    def _queue_up(self, me: int, waiter: Waiter) -> None:
        place = _AtTheDoor(self._held, waiter)
        try:
            self._door[place] = None
            while self._held.setdefault(None, me) is not me:
                waiter.wait_for(place, FOREVER)
        finally:
            self._door.pop(place, None)

    def _take_back(self, signal: Signal) -> None:
        """Take the lock after a wait. Can be called again when Ctrl-C has interrupted it."""
        if self._held.get(None) != get_ident():
            self._acquire(PlainWaiter)
        with suppress(ValueError):  # who signalled us has taken it out
            self._waiting.remove(signal)

    def _open(self) -> None:
        """Give the lock back, if we have it, and wake one of those who want it."""
        interrupt: BaseException | None = None
        while True:
            try:
                if self._held.get(None) == get_ident():
                    self._held.pop(None)
                for place in self._door.copy():
                    is_sure = place.waiter.will_look_at(place)
                    place.waiter.wake()
                    if is_sure:
                        break
                break
            except INTERRUPTS as error:  # nobody else would wake them
                interrupt = error
        if interrupt is not None:
            raise interrupt


class _AtTheDoor:
    """Somebody who wants the lock; and the condition it waits for, that nobody has it."""

    __slots__ = ("_held", "waiter")

    def __init__(self, held: dict[None, int], waiter: Waiter) -> None:
        self._held = held
        self.waiter = waiter

    def __bool__(self) -> bool:
        return not self._held


def locked(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: one thread at a time runs this function; it has a lock of its own.

    A call inside a call raises DeadlockError. (From mo-threads.)
    """
    lock = Lock(getattr(function, "__name__", "locked"))

    @wraps(function)
    def one_at_a_time(*args: P.args, **kwargs: P.kwargs) -> T:
        with lock:
            return function(*args, **kwargs)

    return one_at_a_time
