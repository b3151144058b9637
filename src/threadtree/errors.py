"""The exceptions of the library. Imports nothing of ours."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "INTERRUPTS",
    "DeadlockError",
    "NoActiveWorker",
    "ProcessFailed",
    "QueueClosed",
    "Terminated",
    "WorkerCancelled",
    "WorkerError",
    "WorkerExit",
    "WorkerFailed",
    "text_of",
]


def text_of(error: BaseException) -> str:
    """What an error says. One that fails at this, too, must not keep the rest from being said."""
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


class WorkerExit(BaseException):
    """Ends the worker that raises it, in order: raise it, or let a wait raise it for you.

    A wait of this library raises it in a worker that was asked to stop. It is no
    :class:`Exception`, so that an ordinary ``except Exception`` does not keep a worker alive;
    ``finally:`` blocks run, and may still wait and sleep until the grace has passed.
    (From pyThreadWorker.)
    """


class WorkerError(Exception):
    """Something cannot be done with this worker in its present state, and the message says why."""


class WorkerCancelled(WorkerError):  # noqa: N818 - the name is the seed's
    """The run was ended by a stop before it had a result."""


class WorkerFailed(WorkerError):  # noqa: N818 - the name is the seed's
    """The work raised an exception; it is the ``error`` attribute and the ``__cause__``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"worker raised {type(error).__name__}: {text_of(error)}")
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,)


class DeadlockError(WorkerError):
    """The wait would close a circle of waits, in which nobody could ever go on."""


class NoActiveWorker(Exception):  # noqa: N818 - the name is the seed's
    """The calling code runs in no Worker, Thread or Task."""


class QueueClosed(WorkerError):  # noqa: N818 - as Full and Empty are called
    """Nothing can be added to a queue that is closed; or it is drained, too, and gives nothing."""


class ProcessFailed(WorkerError):  # noqa: N818 - as WorkerFailed is called
    """A program has ended with another code than 0, or had to be ended when its time was over.

    ``returncode`` is its code, or minus the number of the signal that has ended it; None if that
    is not known. ``stderr`` are the last lines that it wrote there.
    """

    def __init__(self, message: str, returncode: int | None, stderr: list[str]) -> None:
        super().__init__("\n".join([message, *stderr]))
        self.returncode = returncode
        self.stderr = stderr
        self._message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._message, self.returncode, self.stderr)


class Terminated(SystemExit):
    """SIGTERM has come. Uncaught, it ends the program with the code that shells use for that."""


INTERRUPTS: Final = (KeyboardInterrupt, Terminated)
"""What a signal of the operating system raises in the main thread. It is meant for the program, and
no error of the code that it was met in."""
