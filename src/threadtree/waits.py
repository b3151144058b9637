"""What a wait waits for. Each registers itself, and whoever dispatches an event offers it to all.

So a nested wait cannot steal: the outer one has got its event by the time it looks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .events import Event, check_name

if TYPE_CHECKING:
    from .jobs import Job

__all__ = ["ConditionWait", "EventWait", "ExactWait", "Wait"]


class Wait:
    """A registered wait. Only the thread that waits reads and writes it."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Event] = []  # true, as a condition, as soon as there is one

    def taken(self, event: Event) -> None:
        """Offer an event before its listeners are called."""

    def handled(self, event: Event) -> None:
        """Offer an event after its listeners were called."""

    def data(self) -> Any:
        """The data of the event that was waited for, or None."""
        return self.found[0].data if self.found else None


class EventWait(Wait):
    """Waits for an event by its name, and by its target if one is given."""

    __slots__ = ("_name", "_target")

    def __init__(self, name: str, target: Job[Any] | None = None) -> None:
        check_name(name)
        super().__init__()
        self._name = name
        self._target = target

    def taken(self, event: Event) -> None:
        # Before the listeners, so that it is the first such event that is found, also when a
        # listener of it waits itself and dispatches the next.
        if event.name != self._name or self.found:
            return
        if self._target is None or self._target is event.target:
            self.found.append(event)


class ExactWait(Wait):
    """Waits for one event object."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._event = event

    def handled(self, event: Event) -> None:
        if event is self._event:
            self.found.append(event)


class ConditionWait(Wait):
    """Waits until ``condition(event)`` is true, after the listeners have done their work."""

    __slots__ = ("_condition", "_error")

    def __init__(self, condition: Callable[[Event], object]) -> None:
        if not callable(condition):
            raise TypeError(f"wait_until() needs something callable, not {condition!r}")
        super().__init__()
        self._condition = condition
        self._error: BaseException | None = None

    def handled(self, event: Event) -> None:
        if self.found:
            return
        try:
            if self._condition(event):
                self.found.append(event)
        except BaseException as error:  # belongs to our wait, not to a nested one that asks us
            self._error = error
            self.found.append(event)

    def data(self) -> Any:
        if self._error is not None:
            raise self._error
        return super().data()
