"""What a program prints and logs while a picture of it is drawn: above, and not through it."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["following_handlers", "streams_above"]


@contextmanager
def streams_above(console: Console, drawing: threading.RLock) -> Iterator[None]:
    """Have what is written to the standard streams appear above the picture on a console.

    The lock is the one under which the picture is drawn.
    """
    before = (sys.stdout, sys.stderr)
    above = [_Above(console, stream, drawing) for stream in before]
    _in_use.extend(above)
    try:
        sys.stdout, sys.stderr = above
        yield
    finally:
        sys.stdout, sys.stderr = before


# What stood in the place of the standard streams. ``print`` does not hold the stream that it writes
# to: were that dropped as a picture ends, another thread that is printing would crash the process.
_in_use: Final[deque[_Above]] = deque(maxlen=16)


class _Above:
    """Stands in the place of a standard stream: what is written appears above the picture.

    rich computes where the picture is, and writes, in two steps. The lock, which the painter takes
    as well, keeps another thread from coming between.
    """

    def __init__(self, console: Console, stream: TextIO, drawing: threading.RLock) -> None:
        from rich.file_proxy import FileProxy

        self._proxy = FileProxy(console, stream)
        self._drawing = drawing

    def write(self, text: str) -> int:
        with self._drawing:
            return self._proxy.write(text)

    def flush(self) -> None:
        with self._drawing:
            self._proxy.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._proxy, name)


@contextmanager
def following_handlers() -> Iterator[None]:
    """Have handlers of logging that write to a standard stream write to what stands in its place.

    Not to be entered or left under the lock of a drawing: who logs holds that of a handler, and
    then takes the other.
    """
    moved: list[tuple[logging.StreamHandler[Any], TextIO]] = []
    loggers = logging.root.manager.loggerDict.copy().values()  # others may add to it meanwhile
    named = [logger for logger in loggers if isinstance(logger, logging.Logger)]
    try:
        there = [one for log in (logging.root, *named) for one in log.handlers.copy()]
        # Some may have been moved off the threads that log; see logs.py.
        for handler in [one for proxy in there for one in getattr(proxy, "moved", (proxy,))]:
            if type(handler) is logging.StreamHandler:
                stream = handler.stream
                if stream in (sys.stdout, sys.stderr):
                    moved.append((handler, stream))
                    handler.setStream(_Following(stream is sys.stdout))
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)


class _Following:
    """Writes to whatever ``sys.stdout`` or ``sys.stderr`` is at that moment."""

    def __init__(self, is_stdout: bool) -> None:
        self._name = "stdout" if is_stdout else "stderr"

    def write(self, text: str) -> int:
        stream: TextIO = getattr(sys, self._name)
        return stream.write(text)

    def flush(self) -> None:
        getattr(sys, self._name).flush()
