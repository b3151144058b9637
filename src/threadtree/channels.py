"""Channel: one publisher, many workers that hear it."""

from __future__ import annotations

from typing import Any
from weakref import ref

from .addressee import fire_at
from .events import Event
from .jobs import Job
from .pool import current

__all__ = ["Channel"]


class Channel:
    """Fires what is published at every worker that has subscribed. It holds them weakly.

    Safe from any thread. (From pyThreadWorker.)

    >>> from threadtree import current, wait_event
    >>> news = Channel()
    >>> news.sub()
    >>> news.pub("HEADLINE", "threads grow on trees")
    >>> wait_event("HEADLINE")
    'threads grow on trees'
    >>> news.unsub()
    """

    def __init__(self) -> None:
        # Changed by single atomic operations, read through .copy().
        self._subscribers: dict[int, ref[Job[Any]]] = {}

    @property
    def pool(self) -> set[Job[Any]]:
        """The subscribers, as a set of its own."""
        links = self._subscribers.copy().values()
        return {worker for link in links if (worker := link()) is not None}

    def sub(self, thread: Job[Any] | None = None) -> None:
        """Subscribe a worker, by default the current one. Twice is once."""
        worker = self._checked(thread)
        key, subscribers = id(worker), self._subscribers
        # The link goes with the worker, before its id can be another's.
        subscribers[key] = ref(worker, lambda _: subscribers.pop(key, None))

    def unsub(self, thread: Job[Any] | None = None) -> None:
        """Unsubscribe a worker, by default the current one. Raises KeyError if it has not."""
        worker = self._checked(thread)
        if self._subscribers.pop(id(worker), None) is None:
            raise KeyError(f"{worker.path} has not subscribed to this channel")

    def pub(self, event: Event | str, *args: Any, **kwargs: Any) -> None:
        """Fire an event, with arguments as for :class:`Event`, at every subscriber."""
        if not isinstance(event, Event):
            event = Event(event, *args, **kwargs)
        if event.target is None:
            event.target = current()
        links = self._subscribers.copy().values()
        # As fire() of each would, but for those whom the flags reach by several of them.
        fire_at([worker for link in links if (worker := link()) is not None], event)

    def _checked(self, thread: Job[Any] | None) -> Job[Any]:
        worker = current() if thread is None else thread
        if not isinstance(worker, Job):
            raise TypeError(f"a subscriber must be a Worker, not {worker!r}")
        return worker
