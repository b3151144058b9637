"""How a run came out, and the care that no error is silent.

An :class:`Outcome` is made once, when the work has ended, and never changes, but for one thing:
whether somebody has looked at a :class:`Failure`. One that nobody looked at is logged once, at the
earliest of: the end of the parent, its own collection, the exit of the program.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn
from weakref import ref

from . import journal
from .errors import WorkerCancelled, WorkerExit
from .forks import after_fork_in_child
from .parking import Claim

__all__ = [
    "Cancelled",
    "Dropped",
    "Failure",
    "Outcome",
    "WorkerState",
    "annotate",
    "outcome_of",
    "report_unseen",
]


class WorkerState(enum.Enum):
    """Where a run of work is. It begins PENDING, is RUNNING, and ends as one of the others.

    The last three are set when the code has really ended, never while it still runs.
    (From Textual's worker API.)
    """

    PENDING = 1
    """Made, but not running."""
    RUNNING = 2
    """Running."""
    CANCELLED = 3
    """Not running any more: cut short by a stop before it had a result."""
    ERROR = 4
    """Not running any more: it raised the error."""
    SUCCESS = 5
    """Not running any more: it returned the result."""


class Outcome:
    """The outcome of work that has returned a result; the others are its subclasses."""

    __slots__ = ("__weakref__", "error", "result")

    state = WorkerState.SUCCESS

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.error: BaseException | None = None

    def look(self) -> BaseException | None:
        """The error, which counts as seen by this."""
        return self.error

    def get(self) -> Any:
        """The result, or the error, raised."""
        return self.result


class Cancelled(Outcome):
    """The outcome of work that was cut short before it had a result; ``why``, if by an error."""

    __slots__ = ("_path",)

    state = WorkerState.CANCELLED

    def __init__(self, path: str, why: BaseException | None = None) -> None:
        super().__init__()
        self._path = path
        self.error = why

    def get(self) -> NoReturn:
        message = f"worker {self._path} was stopped before it had a result"
        raise WorkerCancelled(message) from self.error


class Dropped(Outcome):
    """The outcome of work whose result nobody wants any more, as other work stands in its place."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def get(self) -> NoReturn:
        raise WorkerCancelled(
            f"worker {self._path} was replaced by another before it had a result; what it "
            "returned afterwards was dropped"
        )


class Failure(Outcome):
    """The outcome of work that has raised an error. ``origin`` says where it was started."""

    __slots__ = ("_origin", "_path", "_settled", "_traceback")

    state = WorkerState.ERROR

    def __init__(self, error: BaseException, path: str, origin: tuple[str, int]) -> None:
        super().__init__()
        self._path = path
        self._origin = "{}:{}".format(*origin)
        self._traceback = error.__traceback__
        self._settled = Claim()  # won by the first who looks at the error, or logs it
        annotate(error, f"raised in worker {path} (started at {self._origin})")
        self.error: BaseException = error
        _unseen[id(self)] = ref(self)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # by then the exit hook has reported everything
            self.report_unseen()

    def look(self) -> BaseException:
        self._settle()
        return self.error

    def get(self) -> NoReturn:
        """Raise the error with the traceback it had, no longer each time."""
        try:
            raise BaseException.with_traceback(self.look(), self._traceback)
        finally:
            del self  # the traceback holds this frame: no cycle through it

    def report_unseen(self) -> None:
        """Log the error, unless somebody has seen it, or it was logged before."""
        self.report(", and nobody has looked at its error")

    def report(self, circumstance: str = "") -> None:
        """Log the error, likewise."""
        if self._settle():
            journal.error(
                "Worker %s crashed%s (started at %s)",
                self._path,
                circumstance,
                self._origin,
                exc_info=(type(self.error), self.error, self._traceback),
                worker=self._path,
            )

    def _settle(self) -> bool:
        """Whether this is the first look or report."""
        _unseen.pop(id(self), None)
        return self._settled.take(object())


def annotate(error: BaseException, note: str) -> None:
    """Add a note to an error: also to one whose attributes cannot be set, such as a frozen
    dataclass. One that has made something else of its notes goes without."""
    with suppress(Exception):
        vars(error).setdefault("__notes__", []).append(note)


def outcome_of(exception: BaseException, path: str, origin: tuple[str, int]) -> Outcome:
    """The outcome of work that this exception has left."""
    if isinstance(exception, WorkerExit):
        return Cancelled(path)
    return Failure(exception, path, origin)


# The failures that nobody has looked at. Entries go with the look, the log, or their collection,
# each by one atomic pop.
_unseen: Final[dict[int, ref[Failure]]] = {}


def report_unseen() -> None:
    """Log what nobody has looked at: the program ends."""
    for link in _unseen.copy().values():
        failure = link()
        if failure is not None:
            failure.report_unseen()


after_fork_in_child(_unseen.clear)  # they are the parent process's to report
