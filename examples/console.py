"""What the example programs share: how they speak, and how Ctrl-C ends them.

Small, and without the library, so that it is there before a Ctrl-C can come.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from select import select
from types import FrameType

__all__ = ["INTERRUPTED", "ignore_interrupts", "printable", "run", "say"]

INTERRUPTED = 130  # the exit code

_was_interrupted = False


def run(module: str) -> int:
    """Run the ``main()`` of a module as a program; gives the exit code.

    SIGTERM is as good as Ctrl-C. The first raises KeyboardInterrupt in the main thread; further
    ones do not disturb the orderly end.
    """
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in a background job
                signal.signal(number, _interrupt)
        if sys.stdout is not None:
            # Whatever the encoding: no name of a file is a reason to fail.
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        code: int = import_module(module).main()
        ignore_interrupts()
    except KeyboardInterrupt:
        ignore_interrupts()
        code = INTERRUPTED
    if code == INTERRUPTED and not _is_read():
        os._exit(code)  # an exit in order would wait until somebody reads what was said last
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _was_interrupted
    if not _was_interrupted:
        _was_interrupted = True
        raise KeyboardInterrupt


def ignore_interrupts() -> None:
    """The end has begun: from now on, signals change nothing."""
    global _was_interrupted
    _was_interrupted = True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # as a last act, the interpreter drops our handler


def say(line: str) -> None:
    """Print a line at once. When nobody reads it any more, the program still goes on; but it waits
    for whoever is slow, until it is interrupted."""
    if _was_interrupted and not _is_read():
        return
    try:
        print(f"{printable(line)}\n", end="", flush=True)  # in one piece, as several threads speak
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """What a server or a file's name has for the user, without what would steer the terminal."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text])


def _is_read() -> bool:
    """Whether what is said now goes out at once: not so if it is a pipe, and full."""
    try:
        return bool(select([], [sys.stdout], [], 0)[1])
    except (OSError, TypeError, ValueError):  # not there, not a file, or no socket on Windows
        return True
