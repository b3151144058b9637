"""What the library has to say: to the logger "threadtree", or where that would lead.

``logging`` is not imported for it, which would be a quarter of our own import. A program that has
not imported it has not configured it either; then logging would print warnings and errors to
stderr, and so do we. Nor could an import be relied on here: in a signal handler, in a finalizer, in
a process that has no file descriptor left, which is perhaps just what there is to say.

No :class:`Exception` comes out of here. A handler, a filter or a record factory that raises must
not end a worker, nor keep one from ending.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, TypeAlias

from .forks import after_fork_in_child
from .parking import whereabouts

__all__ = ["debug", "error", "warning"]

_What: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"

# One message on stderr at a time. Re-entrant, as a finalizer may have something to say in one.
_printing = threading.RLock()


def error(
    message: str,
    *args: object,
    exc_info: BaseException | _What | None = None,
    worker: str | None = None,
) -> None:
    """Log an error. ``worker`` is the path in the record: by default that of this thread's."""
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    _say("error", message, args, exc_info, worker)


def warning(message: str, *args: object, worker: str | None = None) -> None:
    """Log a warning, likewise."""
    _say("warning", message, args, None, worker)


def debug(message: str, *args: object, worker: str | None = None) -> None:
    """Log what only matters to who looks for it, likewise."""
    _say("debug", message, args, None, worker)


def _say(
    level: str, message: str, args: tuple[object, ...], what: _What | None, worker: str | None
) -> None:
    logging: Any = sys.modules.get("logging")
    if not hasattr(logging, "getLogger"):  # nor has it, while it is being imported
        if level != "debug":
            _print(message, args, what)
        return
    path = worker or whereabouts()
    try:
        log = getattr(logging.getLogger("threadtree"), level)
        try:
            log(message, *args, exc_info=what, extra={"worker": path}, stacklevel=3)
        except KeyError as refusal:
            if "LogRecord" not in str(refusal):
                raise
            # The program puts a "worker" of its own into each record.
            log(message, *args, exc_info=what, stacklevel=3)
    except Exception as failure:
        _print(message, args, what)
        _print("The above could not be logged", (), (type(failure), failure, None))


def _print(message: str, args: tuple[object, ...], what: _What | None) -> None:
    if sys.stderr is None:
        return
    try:
        message %= args
    except Exception:  # of a __repr__: then without what it should have shown
        pass
    try:
        with _printing:
            print(message, file=sys.stderr, flush=True)
            if what is not None:
                sys.__excepthook__(*what)
    except Exception:  # stderr is closed, or full: nobody is left to be told
        pass


def _after_fork() -> None:
    global _printing
    _printing = threading.RLock()


after_fork_in_child(_after_fork)
