"""What any thread may do with a worker's events: send them, listen to them, ask it to stop.

Nothing here waits, and nothing on the way of an event or a stop takes a lock, so ``fire`` and
``stop`` are safe in signal handlers, ``__del__`` and weakref callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Self, TypeVar, overload

from .events import Callback, Event, Listener, ListenerTable, check_name
from .mailbox import Mailbox
from .node import Node, walk
from .parking import here
from .pool import current
from .run import Run, StopEvent
from .tally import Tally

__all__ = ["Addressee", "fire_at"]

F = TypeVar("F", bound=Callback)

_new_event: Callable[[type[Event]], Event] = object.__new__


class Addressee(Node):
    """A node that events can be sent to, and that can be told what to do with them."""

    _life: Run

    def __init__(self, name: str, parent: Addressee | None) -> None:
        super().__init__(name, parent)
        self._set_run(Run())
        self.listeners = ListenerTable()
        """Event name -> list of its listeners; absent when there is none. For reading."""
        self._rejected = Tally()

    def _set_run(self, run: Run) -> None:
        self._life = run
        self._mailbox = run.mailbox  # again, for the sake of fire(): 4 % of its time

    @property
    def rejected(self) -> int:
        """How many events were rejected, as they came when no run could handle them any more."""
        return self._rejected.value

    @property
    def backlog(self) -> int:
        """How many events are queued."""
        return len(self._mailbox.queue)

    @property
    def paused(self) -> bool:
        """Whether the present run is paused."""
        return self._life.paused

    def wake(self) -> None:
        """Make the present wait look at its condition again. Safe everywhere."""
        self._mailbox.wake()

    def fire(
        self,
        event: Event | str,
        data: Any = None,
        *,
        bubble: bool = False,
        broadcast: bool = False,
        target: Any = None,
    ) -> Self:
        """Put an event into the queue: an :class:`Event`, or the arguments to make one.

        Returns self. Any thread, signal handler or finalizer. It is dispatched exactly once, or
        rejected exactly once when this worker has ended: then it is counted in :attr:`rejected`,
        and the target, which is the sender if none is given, gets EVENT_REJECT if it listens, or
        waits, for that, with ``(event, worker)``. Before the start, events wait. With ``bubble``
        every ancestor gets it too, with ``broadcast`` everything below. Raises TypeError for a
        name that is no string. (From pyThreadWorker.)
        """
        # The hottest path of the library, 280 ns. So Event(...), which would be 80 ns more, and
        # Mailbox.put(), which would be 60, are written out.
        if not isinstance(event, Event):
            if type(event) is not str:
                check_name(event, "an event must be an Event, or its name,")
            name, event = event, _new_event(Event)
            event.name = name
            event.data = data
            event.bubble = bubble
            event.broadcast = broadcast
            event.target = target
        if event.target is None:
            stack = here.stack
            event.target = stack[-1] if stack else current()
        mailbox = self._mailbox
        try:
            mailbox.queue.append(event)
        finally:
            bell = mailbox.bell
            if bell is not None:
                try:
                    bell(event)
                    if bell is mailbox.take_back:
                        self._reject(event)
                except ValueError:
                    pass
        if event.bubble or event.broadcast:
            for node in self._addressed(event):
                node._post(event)
        return self

    def _addressed(self, event: Event) -> Iterator[Addressee]:
        """Who gets a bubbling or broadcast event besides this worker, each once."""
        if event.bubble:
            yield from self._ancestors()
        if event.broadcast:
            yield from islice(walk([self]), 1, None)

    def _post(self, event: Event) -> None:
        """Have the event dispatched or rejected, here and nowhere else."""
        if not self._mailbox.put(event):
            self._reject(event)

    def _reject(self, event: Event) -> None:
        if self._is_rejectable(event):
            self._rejected.add()
            self._tell_sender(event)

    def _reject_kept(self, mailbox: Mailbox, event: Event) -> None:
        """Reject what the mailbox has kept for that. Taken again, it is counted once."""
        if self._is_rejectable(event):
            self._tell_sender(event)
            # Counted and done with, in one step in C.
            counted = map(self._rejected.append, (1,))
            next(zip(counted, map(mailbox.left.remove, (event,)), strict=True))
        else:
            mailbox.left.remove(event)

    def _is_rejectable(self, event: Event) -> bool:
        """Whether it is no request that came too late, to end what has ended."""
        return not isinstance(event, StopEvent)

    def _tell_sender(self, event: Event) -> None:
        sender = event.target
        if not isinstance(sender, Addressee) or sender is self:
            return  # programs may use any object as a tag
        # A wait that is registered may be for it; what it is for, only its own thread knows.
        listens = "EVENT_REJECT" in sender.listeners or sender._life.waits
        if event.name != "EVENT_REJECT" and listens:
            sender._post(Event("EVENT_REJECT", (event, self), target=self))

    def _request_stop(self, now: bool) -> None:
        """Ask the present run to end, in its turn or now. Does nothing when nothing runs.

        Every step may be taken twice, by two threads or after a Ctrl-C: the second StopEvent is
        ignored by the loop, as the first has raised WorkerExit already.
        """
        run = self._life
        if not run.active:
            return
        run.asked_at = min(run.asked_at, monotonic())
        if run.stop_event is None:
            event = StopEvent(run.thread)
            run.mailbox.put(event)
            run.stop_event = event
        if now:
            run.overtaking = True
        run.attention = True
        # Last, so that code that has seen the signal meets the exit at its next checkpoint.
        run.please_stop.go()
        run.mailbox.wake()  # also who sleeps through events, and does not hear what rings for them

    # -- listening --------------------------------------------------------------------------

    @property
    def listener_pool(self) -> dict[Callback, list[Listener]]:
        """Callback -> its listeners, as a dict of its own. See :attr:`listeners` for by name."""
        pool: dict[Callback, list[Listener]] = {}
        for listeners in self.listeners.copy().values():
            for listener in listeners:
                pool.setdefault(listener.callback, []).append(listener)
        return pool

    @overload
    def listen(self, callback: F, event_name: str, **options: Any) -> F: ...
    @overload
    def listen(self, callback: str, **options: Any) -> Callable[[F], F]: ...
    @overload
    def listen(self, *, event_name: str, **options: Any) -> Callable[[F], F]: ...
    def listen(self, callback: Any = ..., *args: Any, **kwargs: Any) -> Any:
        """Call ``callback(event)``, in this worker's thread, for its events of a name.

        ``listen(callback, "NAME")``, or as a decorator ``@listen("NAME")``, or
        ``@listen(event_name="NAME")``; further arguments as for :class:`Listener`, whose errors it
        raises. Returns the callback. Any thread. (From pyThreadWorker.)
        """
        if callback is ... and "event_name" in kwargs:
            return lambda function: self.listen(function, **kwargs)
        if isinstance(callback, str):
            name = callback
            if args:  # or it would be a decorator of nothing, and nobody would listen
                raise TypeError(
                    f"listen() takes the callback first: listen(callback, {name!r}); "
                    f"as a decorator, @listen({name!r}), it takes only keywords beside the name"
                )
            return lambda function: self.listen(function, name, **kwargs)
        self.listeners.add(Listener(callback, *args, **kwargs))
        return callback

    def unlisten(self, callback: Callback) -> None:
        """Forget every listener with this callback. Any thread. (From pyThreadWorker.)

        Raises KeyError if there is none.
        """
        if not self.listeners.discard_callback(callback):
            raise KeyError(f"{self.path} has no listener with the callback {callback!r}")

    def bubble(self, *args: Any, **kwargs: Any) -> Self:
        """Fire an event at the parent, and its parent, up to the root. Returns self.

        The arguments are those of :class:`Event`; the target is this worker.
        """
        self.parent_fire(*args, **{**kwargs, "bubble": True})
        return self

    def broadcast(self, *args: Any, **kwargs: Any) -> Self:
        """Fire an event at everything below this worker. Returns self.

        The arguments are those of :class:`Event`; the target is this worker.
        """
        self.children_fire(*args, **{**kwargs, "broadcast": True})
        return self

    def parent_fire(self, *args: Any, **kwargs: Any) -> None:
        """Fire an event at the parent, if there is one, with this worker as the target."""
        event = self._own_event(*args, **kwargs)
        if self._parent is not None:
            self._parent.fire(event)

    def children_fire(self, *args: Any, **kwargs: Any) -> None:
        """Fire an event at each child, with this worker as the target."""
        event = self._own_event(*args, **kwargs)
        children: list[Any] = list(self._children.copy())
        if event.bubble or event.broadcast:
            fire_at(children, event)
        else:
            for child in children:
                child.fire(event)

    def _own_event(self, event: Event | str, *args: Any, **kwargs: Any) -> Event:
        if isinstance(event, Event):
            event.target = self
            event.bubble = kwargs.get("bubble", event.bubble)
            event.broadcast = kwargs.get("broadcast", event.broadcast)
            return event
        return Event(event, *args, **{**kwargs, "target": self})


def fire_at(addressees: list[Any], event: Event) -> None:
    """Have an event dispatched or rejected by each of these, and by those whom its flags add: by
    each of all of them once."""
    reached = dict.fromkeys(walk(addressees) if event.broadcast else addressees)
    if event.bubble:
        above: dict[Any, None] = {}
        for node in addressees:
            for ancestor in node._ancestors():
                if ancestor in above:  # and so is all that is above it
                    break
                above[ancestor] = None
        reached.update(above)
    for node in reached:
        node._post(event)
