"""Events, listeners, and the table that says which listener hears which event.

The table is copy-on-write: a change puts a new list in the place of the old one, so dispatch reads
it without a lock, from any number of threads, while others listen and unlisten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from .forks import after_fork_in_child

if TYPE_CHECKING:
    from .addressee import Addressee

__all__ = ["Event", "Listener", "ListenerTable", "check_name"]

Callback: TypeAlias = "Callable[[Event], object]"


def check_name(name: object, what: str = "an event name must be") -> None:
    """Raise TypeError for what no event can be called."""
    if not isinstance(name, str) or type(name).__hash__ is None:
        raise TypeError(f"{what} a string, and hashable, not {name!r}")


class Event:
    """Something that happened, on its way to the listeners of one or more workers.

    ``name`` is what listeners listen to, ``data`` whatever belongs to it. With ``bubble`` it goes
    on to the parent, and its parent, up to the root; with ``broadcast`` to the children, and
    theirs. ``target`` is the worker it is about; ``fire()`` sets it to the one that fires, if it
    is None. Raises TypeError when the name is no string, or a subclass defines ``__eq__``: events
    are known by their identity. (From pyThreadWorker.)
    """

    __slots__ = ("broadcast", "bubble", "data", "name", "target")

    def __init__(
        self,
        name: str,
        data: Any = None,
        *,
        bubble: bool = False,
        broadcast: bool = False,
        target: Addressee | None = None,
    ) -> None:
        if type(name) is not str:
            check_name(name)
        if type(self) is not Event and type(self).__eq__ is not object.__eq__:
            raise TypeError(
                f"{type(self).__name__} must not define __eq__, as events are known by their "
                "identity; a dataclass needs eq=False"
            )
        self.name = name
        self.data = data
        self.bubble = bubble
        self.broadcast = broadcast
        self.target = target

    def __repr__(self) -> str:
        return f"<Event {self.name}: {self.data!r}>"


class Listener:
    """A callback and what it listens to.

    ``callback(event)`` is called for events called ``event_name``, only those about ``target`` if
    one is given. Higher ``priority`` is called first, equal ones in the order they were added.
    With ``once`` it is called once and then forgotten; when not ``permanent`` it is forgotten at
    the end of the worker's run, as those of the ``listen()`` shortcut are. Raises TypeError for a
    callback that cannot be called, a name that is no string, a priority that is no number.
    (From pyThreadWorker.)
    """

    __slots__ = ("callback", "event_name", "once", "permanent", "priority", "target")

    def __init__(
        self,
        callback: Callback,
        event_name: str,
        *,
        target: Addressee | None = None,
        priority: float = 0,
        once: bool = False,
        permanent: bool = True,
    ) -> None:
        if not callable(callback):
            raise TypeError(f"a listener must be callable, not {callback!r}")
        check_name(event_name)
        if not isinstance(priority, (int, float)) or priority != priority:
            raise TypeError(f"a priority must be a number, not {priority!r}")
        self.callback = callback
        self.event_name = event_name
        self.target = target
        self.priority = priority
        self.once = once
        self.permanent = permanent

    def __repr__(self) -> str:
        return f"<Listener {self.event_name}: {self.callback!r}>"


# Guards the writing of every table: writing is rare and short. Re-entrant, because a finalizer
# may run in the middle of it and listen or unlisten itself.
_writing = threading.RLock()


class ListenerTable(dict[str, list[Listener]]):
    """Event name -> its listeners, in the order they are called. No list in it ever changes.

    A name without listeners is absent. Changing methods take ``_writing``; reading takes nothing.
    """

    __slots__ = ()

    def add(self, listener: Listener) -> None:
        """Put a listener in its place by priority."""

        def with_it(old: list[Listener]) -> list[Listener]:
            place = next(
                (i for i, other in enumerate(old) if other.priority < listener.priority), len(old)
            )
            return [*old[:place], listener, *old[place:]]

        with _writing:
            self._replace(listener.event_name, with_it)

    def discard(self, listener: Listener) -> bool:
        """Take one listener out; whether it was there, so that of many only one takes it."""
        with _writing:
            return self._drop(listener.event_name, lambda other: other is listener)

    def discard_callback(self, callback: Callback) -> bool:
        """Take out every listener with this callback; whether there was one."""
        with _writing:
            dropped = [self._drop(name, lambda o: o.callback == callback) for name in list(self)]
            return any(dropped)

    def discard_temporary(self) -> None:
        """Take out every listener that is not permanent."""
        with _writing:
            for name in list(self):
                self._drop(name, lambda listener: not listener.permanent)

    def _drop(self, name: str, unwanted: Callable[[Listener], bool]) -> bool:
        return self._replace(name, lambda old: [item for item in old if not unwanted(item)])

    def _replace(self, name: str, change: Callable[[list[Listener]], list[Listener]]) -> bool:
        """Put ``change(list)`` in the place of a list; whether that makes a difference."""
        while True:
            old = self.get(name)
            new = change(old or [])
            # A finalizer in this thread may have changed it meanwhile, in spite of the lock.
            if self.get(name) is old:
                break
        if new:
            self[name] = new
        elif old:
            del self[name]
        return len(new) != len(old or [])


def _after_fork() -> None:
    # Another thread may have held the lock when the process was forked.
    global _writing
    _writing = threading.RLock()


after_fork_in_child(_after_fork)
