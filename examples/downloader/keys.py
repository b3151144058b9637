"""Keys of the terminal that do something at once, without Enter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from .blocking import readable

__all__ = ["keys_available", "read_keys"]

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]


def keys_available() -> bool:
    """Whether there is a terminal to read keys from."""
    if termios is None or sys.stdin is None or not sys.stdin.isatty():
        return False
    return _is_ours(sys.stdin.fileno())


def read_keys(actions: Mapping[str, Callable[[], object]]) -> None:
    """Do what belongs to a key when it is pressed, until a stop. The task of a worker."""
    terminal = sys.stdin.fileno()
    with _without_enter(terminal), readable(terminal) as wait, suppress(OSError):  # it went away
        while wait() and (key := os.read(terminal, 1)):
            actions.get(key.decode(errors="replace").lower(), lambda: None)()


@contextmanager
def _without_enter(terminal: int) -> Iterator[None]:
    """Have a terminal pass on each key at once, and not show it; afterwards, all is as it was."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        yield
    finally:
        if _is_ours(terminal):
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _is_ours(terminal: int) -> bool:
    """Whether we may use it. In the background we would be stopped: by then it is the shell's."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return True  # a terminal that is not the one of our session
