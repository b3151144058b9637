"""How a native thread is begun, so that nobody has to guess whether it was.

An exception may come out of ``Thread.start()`` before the thread exists (no more threads to be
had) or when it runs already (Ctrl-C while ``start`` waits for it). Nobody can tell which from the
outside. So the thread and its starter race for one :class:`Claim`, and the winner decides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from .parking import Claim, rouse_main

__all__ = ["Launch"]


class _Started:
    """What ``Thread.start()`` waits for, until the new thread has begun.

    The interpreter's own is an Event, whose Condition a Ctrl-C can leave locked, or unlocked twice:
    then the new thread hangs before it begins, or start() raises a RuntimeError in the place of
    the KeyboardInterrupt. Here waiting is one step in C. (And a start takes 0.9 of the time.)
    """

    __slots__ = ("_is_set", "_sets")

    def __init__(self) -> None:
        self._is_set = False
        self._sets: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._sets.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            try:
                self._sets.get(timeout=timeout)
            except Empty:
                pass
        return self._is_set

    def _at_fork_reinit(self) -> None:
        self._sets = SimpleQueue()


# What every attempt has in common that has led to a thread, so that none keeps its own: without
# these and the hook for errors, a worker that is kept after its end takes 0.8 of the memory.
_STARTED: Final = _Started()
_STARTED.set()
_THREAD_WON: Final = Claim()
_THREAD_WON.take("thread")


class Launch(threading.Thread):
    """One attempt to run ``body(*args)`` in a native thread of its own, which it is.

    The thread is a native daemon: the exit of the interpreter is ordered by our own hook, and a
    thread that is stuck in foreign code must not be able to hang it.
    """

    def __init__(self, name: str, body: Callable[..., object], *args: Any) -> None:
        super().__init__(None, body, name, args, daemon=True)
        self._claim = Claim()
        self._started = _Started()  # in the place of the Event by which start() waits

    _invoke_excepthook: object  # what the interpreter calls when run() raises

    def start(self) -> None:
        """Begin the thread, and return when it runs."""
        try:
            super().start()
        finally:
            rouse_main()  # we, or the new thread, may have taken a signal that it is to handle
        self._started = _STARTED
        self._claim = _THREAD_WON

    @property
    def failed(self) -> bool:
        """Whether the body has not run, and never will. To be asked after ``start()`` raised."""
        return self._claim.take("starter")

    def run(self) -> None:
        """What the interpreter calls in the new thread."""
        if self._claim.take("thread"):
            super().run()
            self._invoke_excepthook = None

    def await_end(self) -> None:
        """Wait for the native end, after the body has ended. At once on the thread itself, and
        when there is none.

        Brief by then, so that an interrupt in it, which on Python 3.11 and 3.12 makes the
        interpreter take a running thread for an ended one, does no harm.
        """
        has_begun = self._claim.winner != "starter"
        if has_begun and self is not threading.current_thread():
            self.join()
