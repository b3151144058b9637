"""One run with an event loop: all of its state that does not outlive it."""

from __future__ import annotations

import threading

from .events import Event
from .mailbox import Mailbox
from .native import Launch
from .node import Life
from .outcomes import Outcome
from .parking import Condition, here
from .waits import Wait

__all__ = ["Run", "StopEvent"]


class StopEvent(Event):
    """The STOP_THREAD that ``stop()`` posts, for one run by one thread; no event of the user's."""

    __slots__ = ("thread",)

    def __init__(self, thread: threading.Thread | None) -> None:
        # The target is who asks, without making a worker for a thread that has none.
        super().__init__("STOP_THREAD", target=here.stack[-1] if here.stack else None)
        self.thread = thread


class Run(Life):
    """One run with an event loop.

    The flags are written by the owner, if not said otherwise, and any thread may read them.
    """

    __slots__ = (
        "asleep_for",
        "attention",
        "before",
        "departed",
        "depth",
        "exit_raised",
        "launch",
        "mailbox",
        "overtaking",
        "owner",
        "paused",
        "stop_event",
        "thread",
        "verdict",
        "waits",
    )

    def __init__(self, mailbox: Mailbox | None = None) -> None:
        super().__init__()
        self.mailbox = mailbox or Mailbox()
        self.verdict: Outcome | None = None  # what is to be the outcome, when the children ended
        self.before: Run | None = None  # the run that is the last again, should no thread begin
        self.owner: int | None = None  # the identifier of the native thread that runs the loop
        self.launch: Launch | None = None  # the attempt to start it; under the lock of the tree
        self.thread: threading.Thread | None = None  # which runs it; likewise
        self.departed: tuple[Launch, ...] = ()  # of children that have ended; likewise
        self.waits: list[Wait] = []  # the waits going on, outermost first
        self.asleep_for: Condition | None = None  # looked at first thing after the sleep
        self.depth = 0  # of the dispatching: how many listeners wait within one another
        self.paused = False
        self.exit_raised = False  # WorkerExit was raised once: clean-up may wait again
        self.stop_event: StopEvent | None = None  # the first to ask posts it, and writes this
        self.overtaking = False  # set by stop(now=True)
        self.attention = False  # set by whoever asks: the loop must look closer at each turn

    def await_native_end(self) -> None:
        """Wait for the last moments of its thread, if it has one; after ``stopped`` has gone."""
        if self.launch is not None:
            self.launch.await_end()
