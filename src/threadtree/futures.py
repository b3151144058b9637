"""Async, the worker whose result is what counts, and Defer, a result that somebody will supply."""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .errors import INTERRUPTS, WorkerCancelled
from .events import Event
from .jobs import T_co
from .parking import Claim, deadline_after
from .pool import current
from .signals import Signal
from .waiting import Result, Waiting
from .waits import ExactWait
from .workers import Worker

__all__ = ["Async", "Defer", "Settlement"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar  # a default: for the checkers only

    T = _TypeVar("T", default=Any)
else:
    T = TypeVar("T")


class Async(Worker[T_co]):
    """A worker for its result: without a parent, a daemon, and silent about its error until then.

    ``get()`` gives the result or raises the error. An error that nobody gets is logged once.
    (From pyThreadWorker.)

    >>> Async(pow).start(2, 10).get()
    1024
    """

    def __init__(self, task: Callable[..., T_co], *, name: str | None = None) -> None:
        if not callable(task):
            raise TypeError(f"a task must be callable, not {task!r}")
        super().__init__(task, parent=False, daemon=True, print_traceback=False, name=name)

    def _waited_for_by(self, waiter: Waiting, *args: Any, **kwargs: Any) -> T_co:
        return self.get(*args, **kwargs)


PENDING: Final = "PENDING"
RESOLVED: Final = "RESOLVED"
REJECTED: Final = "REJECTED"


class Settlement:
    """Something that is settled once, by the first who does, and the signal that it is."""

    __slots__ = ("_claim", "signal")

    def __init__(self, name: str) -> None:
        self.signal = Signal(name)
        self._claim = Claim()

    @property
    def value(self) -> Any:
        """What it was settled with, or None."""
        return self._claim.winner

    def settle(self, value: object) -> None:
        """Any thread, signal handler or finalizer."""
        interrupt: BaseException | None = None
        while not self.signal:
            try:
                self._claim.take(value)
                self.signal.go()
            except INTERRUPTS as error:  # once it counts, whoever waits must hear of it
                interrupt = error
        if interrupt is not None:
            raise interrupt


class Defer(Result, Generic[T]):
    """A result that somebody supplies later, from any thread, once.

    The first ``resolve`` or ``reject`` counts, further ones do nothing. ``await defer`` waits
    without blocking the asyncio loop. (From pyThreadWorker.)

    >>> defer = Defer()
    >>> defer.resolve("done")
    >>> defer.get(), defer.status
    ('done', 'RESOLVED')
    """

    def __init__(self) -> None:
        # With a status, a result, and the result's own traceback.
        self._settlement = Settlement("fulfilled")
        self._fulfilled = self._settlement.signal

    @property
    def status(self) -> str:
        """``"PENDING"``, ``"RESOLVED"`` or ``"REJECTED"``."""
        return self._settled()[0]

    @property
    def result(self) -> Any:
        """The value or the error that was supplied; None while nothing was."""
        return self._settled()[1]

    def _settled(self) -> tuple[str, Any, TracebackType | None]:
        return self._settlement.value or (PENDING, None, None)

    def resolve(self, value: T) -> None:
        """Supply the result. Any thread, signal handler or finalizer."""
        self._settlement.settle((RESOLVED, value, None))

    def reject(self, err: BaseException) -> None:
        """Supply an error, which ``get()`` raises. Any thread, signal handler or finalizer.

        Raises TypeError for what is no exception.
        """
        if not isinstance(err, BaseException):
            raise TypeError(f"reject() needs an exception to raise in get(), not {err!r}")
        self._settlement.settle((REJECTED, err, err.__traceback__))

    def get(self, timeout: float | None = None) -> T:
        """Wait for the result, handling events meanwhile; gives it, or raises the error.

        TimeoutError when ``timeout`` seconds are over first; WorkerCancelled if the wait of the
        main thread or of a foreign one is stopped. Any thread.
        """
        deadline = deadline_after(timeout)
        waiter = current()
        if self._fulfilled:
            waiter.look()  # a wait all the same: a stop or a pause reaches us here
        else:
            event = Event("DEFER_FULFILL", self, target=waiter)
            key = self._fulfilled._subscribe(waiter._mailbox.delivery(event))
            try:
                waiter._registered(ExactWait(event), deadline)
            finally:
                self._fulfilled._unsubscribe(key)
        return self._get(deadline)

    def _get(self, deadline: float) -> T:
        status, result, own_traceback = self._settled()
        if status is REJECTED:
            raise BaseException.with_traceback(
                result, own_traceback
            )  # so it does not grow with each get()
        if status is PENDING:
            if monotonic() < deadline:
                raise WorkerCancelled("the wait for a defer was stopped")
            raise TimeoutError("the defer was not fulfilled in time")
        return result  # type: ignore[no-any-return]

    def __await__(self) -> Generator[Any, None, T]:
        yield from self._fulfilled.__await__()
        return self._get(0.0)
