"""The mailbox of one run: where events wait, and where its thread sleeps.

Anyone puts; only the owning thread takes. Three things must be exact, without a lock that a
signal handler or a finalizer could find held by its own thread:

* **No wake-up is lost.** The owner hangs up the bell, looks at the queue, then sleeps; a sender
  puts into the queue, then looks for a bell. The deque orders the two, so one sees the other.
* **No event is lost at the end.** Closing makes the bell one that takes the event back, then
  empties the queue; a sender puts, then rings, and so has *its own* event back, unless the owner
  was faster. Removing from the deque is the atomic step that decides who rejects the event.
* **No event is lost to Ctrl-C**, which may come between any two bytecodes of the main thread.
  The owner peeks, and takes the event in the same step in C that enters its first listener. It
  takes that event and no other: a signal handler may have waited there, and handled it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import filterfalse

from .events import Event
from .parking import FOREVER, Gate

__all__ = ["Mailbox"]


class Mailbox:
    """Events on their way to one run. ``put`` and ``wake`` are for all, the rest for the owner."""

    __slots__ = (
        "_doorbell",
        "_gate",
        "_ring",
        "bell",
        "left",
        "queue",
        "take_back",
        "taken",
    )

    def __init__(self) -> None:
        self.queue: deque[Event] = deque()
        self.taken = 0  # how many were taken so far: by the owner, read by the owner
        self.left: list[Event] = []  # taken by close(), and not yet rejected
        self._gate = Gate()
        # None while the owner is awake; rings while it sleeps; takes the event back when it is
        # closed. All are steps in C, so that Ctrl-C comes before them or after.
        self.bell: Callable[[Event], object] | None = None
        self._doorbell: Callable[[Event], object] | None = None  # what it is but for the sleep
        self._ring: Callable[[], object] | None = None  # of a foreign loop that owns the thread
        self.take_back: Callable[[Event], object] = self.queue.remove

    # -- for any thread, signal handler and finalizer ----------------------------------------

    def put(self, event: Event) -> bool:
        """Leave an event. False when it was refused, and is the caller's to reject."""
        refused = False
        try:
            self.queue.append(event)
        finally:  # also when Ctrl-C comes just now: the owner must hear of what it has got
            bell = self.bell
            if bell is not None:
                try:
                    bell(event)
                    refused = bell is self.take_back
                except ValueError:
                    pass  # not there to be taken back: the owner had it still, and has seen to it
        return not refused

    def delivery(self, event: Event) -> Callable[[], object]:
        """A callback that puts the event, once, into a mailbox that is not closed.

        It is one step in C: a Ctrl-C in the thread that calls it comes before it or after.
        """
        return partial(
            next, zip(map(self.queue.append, (event,)), map(self._gate.push, (None,)), strict=True)
        )

    def wake(self) -> None:
        """Make the owner look again at what it waits for."""
        self._gate.push(None)
        ring = self._ring
        if ring is not None:
            ring()

    def wake_from_sleep(self) -> None:
        """The same, but not for a foreign loop, which would have us look again, and so for ever."""
        self._gate.push(None)

    def take(self, event: Event, taken: list[Event]) -> Iterator[Event]:
        """Its one step takes this event, the oldest, notes that in ``taken``, and gives it.

        ``next(map(listener, take(event, taken)))`` takes it and enters the listener, in one step in
        C. Raises ValueError when it is there no more.
        """
        # Both give None, which is false, so the event passes through.
        return filterfalse(taken.append, filterfalse(self.queue.remove, (event,)))

    # -- for the owner -------------------------------------------------------------------------

    def sleep(self, deadline: float = FOREVER) -> None:
        """Sleep until an event comes, somebody wakes us, or the monotonic ``deadline``."""
        if self._doorbell is not self.take_back:  # what is closed stays closed
            self.bell = self._gate.push
        try:
            if not self.queue:
                self._gate.pass_through(deadline)
        finally:
            self.bell = self._doorbell

    def rest(self, deadline: float = FOREVER) -> None:
        """Sleep through events, until somebody wakes us or the monotonic ``deadline``."""
        self._gate.pass_through(deadline)

    def be_woken_by(self, ring: Callable[[], object] | None) -> None:
        """Let a foreign loop own the thread: ``ring()`` is called, by the sender, for each event
        that comes while we do not sleep ourselves, and for each ``wake()``. The loop then calls
        ``update()``."""

        def doorbell(event: Event) -> None:
            if ring is not None:
                ring()

        self._ring = ring
        if self._doorbell is not self.take_back:
            self._doorbell = self.bell = None if ring is None else doorbell

    def close(self) -> Iterable[Event]:
        """Refuse what comes from now on; gives what is left, which is the caller's to reject.

        Each is kept in :attr:`left` until the caller asks for the next one, or has taken it out
        of there. Interrupted, it can call this again for the rest.
        """
        self._doorbell = self.bell = self.take_back
        return self._drained() if self.queue or self.left else ()  # mostly nothing is left

    def _drained(self) -> Iterator[Event]:
        while True:
            if not self.left:
                try:
                    self._keep_next()
                except IndexError:
                    return
            yield self.left[0]
            self.left.clear()

    def _keep_next(self) -> None:
        next(map(self.left.append, map(deque.popleft, (self.queue,))))  # one step in C

    def take_until(self, last: Event) -> Iterator[Event]:
        """Take everything queued before ``last``, if that is queued. Each is kept as by close()."""
        before = self.place_of(last) or 0
        while self.left or before:
            if not self.left:
                self._keep_next()
                before -= 1
            yield self.left[0]
            self.left.clear()

    def place_of(self, event: Event, at_most: int | None = None) -> int | None:
        """How many events are queued before this one; None if it is not queued itself.

        ``at_most``, if given, is its place of some time ago, or more. Any thread.
        """
        # By index, as an iterator or a copy of a deque fails when others append meanwhile. And
        # downwards: events only ever leave from before it, and so it cannot slip past us.
        place = len(self.queue) - 1
        if at_most is not None:
            place = min(place, at_most)
        while place >= 0:
            try:
                if self.queue[place] is event:
                    return place
            except IndexError:
                pass  # the queue has become shorter
            place -= 1
        return None
