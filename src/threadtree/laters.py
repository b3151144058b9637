"""The handle that ``later(timeout=...)`` gives: a worker without a thread, and one timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

from .errors import DeadlockError
from .events import Event
from .forks import after_fork_in_child
from .jobs import Job
from .origins import origin
from .outcomes import Cancelled, Outcome, WorkerState, outcome_of
from .parking import Claim
from .pool import current
from .signals import Signal
from .timers import Timer
from .workers import Worker

__all__ = ["Later"]


class Later(Worker[Any]):
    """The handle of a ``later(timeout=...)``: a run without a thread.

    It is RUNNING from the start. Whoever wins the claim ends it: the callback as it begins, or a
    stop; so after ``stop()`` the callback either has begun before, or never runs.
    """

    def __init__(self, target: Job[Any], callback: Callable[[], object], deadline: float) -> None:
        super().__init__(callback, parent=False, daemon=True)
        self._target = target
        self._asked_of = target._life
        self._claim = Claim()
        self._links: list[tuple[Signal, object]] = []
        self._timer: Timer | None = None
        run = self._life
        run.origin = origin()
        run.state = WorkerState.RUNNING
        try:
            _pending[self] = None
            # It ends with its target, and with the worker that asked for it.
            for life in {self._asked_of, current()._life}:
                self._links.append((life.stopped, life.stopped._subscribe(self.stop)))
            self._timer = Timer(deadline, self._queue)
        except BaseException:
            self.stop()
            raise
        if run.ended:  # already: then it did not see all of them
            self._timer.cancel()
            self._unlink()

    def start(self, *args: Any, **kwargs: Any) -> Self:
        return self  # it has been, and is of no use a second time

    def join(self, timeout: float | None = None) -> Self:
        if timeout is None and self._life.active and current() is self._target:
            raise DeadlockError(
                f"{self.path} is to be called by {self._target.path}, which would wait for it "
                "without handling events; use get() or wait_thread()"
            )
        return super().join(timeout)

    def _queue(self) -> None:
        event = Event("EXECUTE", (self._call, (), {}), target=self)
        # Into the run that it was asked of. The target may have another, before we hear of the end.
        if self._life.active and not self._asked_of.mailbox.put(event):
            self._target._reject(event)

    def _call(self) -> None:
        """The callback's turn, on the thread of the target."""
        outcome: Outcome | None = None
        raised: BaseException | None = None
        while not self._life.stopped:
            # Once it is claimed, only this can end it. Ctrl-C must not keep that from happening.
            try:
                while True:  # the jump back of another loop is not covered by the try on 3.13
                    if outcome is not None:
                        self._end(outcome)
                        break
                    elif self._claim.take("call"):
                        outcome = Cancelled(self.path)
                        outcome = Outcome(self._task())  # type: ignore[misc]
                    else:
                        return
            except BaseException as error:
                raised = error
                if isinstance(outcome, Cancelled):
                    outcome = outcome_of(error, self.path, self._life.origin)
                    outcome.look()  # the target reports it, as it does for any listener
        if raised is not None:
            raise raised

    def _request_stop(self, now: bool) -> None:
        run = self._life
        # Again, if Ctrl-C has cut the first short: every step can be taken twice.
        if not run.stopped and self._claim.take("stop"):
            run.please_stop.go()
            if self._timer is not None:
                self._timer.cancel()
            self._end(Cancelled(self.path))

    def _end(self, outcome: Outcome) -> None:
        self._unlink()
        self._life.outcome = outcome
        self._close_mailbox(self._life)  # nobody has dispatched what was fired at us
        self._life.state = outcome.state
        self._life.stopped.go()

    def _unlink(self) -> None:
        _pending.pop(self, None)
        for signal, key in self._links:
            signal._unsubscribe(key)


# The handles that have not ended. Entries come and go by single atomic operations.
_pending: Final[dict[Later, None]] = {}


def _after_fork() -> None:
    for handle in _pending.copy():
        handle._life.vanish(handle.path)
    _pending.clear()


after_fork_in_child(_after_fork)
Job._make_handle = Later
