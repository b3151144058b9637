"""The events of a worker as something to iterate over in asyncio."""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Self
from weakref import ref

from .bells import Bell
from .events import Event, Listener
from .runner import Runner

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["EventStream"]


class EventStream:
    """The events of one name that one run of a worker dispatches, from the making of this on.

    What has not been taken waits here, without a limit. Who drops it is listened for no more.
    """

    def __init__(self, worker: Runner, name: str) -> None:
        self._run = worker._life
        self._adopt_loop = Runner._adopt_loop
        # Put by the worker's thread, taken by ours; then it looks for a bell, and we, having hung
        # it up, for an event.
        self._events: deque[Event] = deque()
        self._bell: Bell | None = None
        self._news: list[Future[None]] = []  # what we wait for; on the thread of the loop
        listeners = worker.listeners

        def tap(event: Event) -> None:
            stream = link()
            if stream is not None:
                stream._put(event)

        # The listener does not hold us, and is taken out when we are gone.
        listener = Listener(tap, name)
        link = ref(self, lambda _: listeners.discard(listener))
        listeners.add(listener)

    def _put(self, event: Event) -> None:
        self._events.append(event)
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        from asyncio import get_running_loop

        loop = get_running_loop()
        self._adopt_loop()
        if self._bell is None or not self._bell.is_of(loop):
            self._bell = Bell(loop, partial(_look, ref(self)), copy_context())
        key = self._run.stopped._subscribe(self._ring)
        try:
            while not self._events:
                self._news.append(news := loop.create_future())
                try:
                    if self._run.stopped and not self._events:  # all it dispatched is here by now
                        raise StopAsyncIteration
                    if not self._events:
                        await news
                finally:
                    self._news.remove(news)
        finally:
            self._run.stopped._unsubscribe(key)
        return self._events.popleft()


def _look(link: ref[EventStream]) -> None:
    """On the thread of the loop: there may be an event, or none will come any more."""
    stream = link()
    for news in () if stream is None else stream._news:
        if not news.done():
            news.set_result(None)
