"""Waiting for a line "exit" on the standard input, in a thread that can be asked to end."""

from __future__ import annotations

import os
import select
import sys
from functools import partial

from . import journal
from .signals import Signal

__all__ = ["watch_console"]


def watch_console(please_stop: Signal) -> None:
    """Return when "exit" was typed, or the signal goes. At the end of the input, wait for that."""
    try:
        console = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        journal.warning("The standard input is no file, and cannot be watched")
        please_stop.wait()
        return
    bell, ring = os.pipe()
    try:
        # A select cannot be woken by a mailbox, so the signal comes as a byte.
        key = please_stop._subscribe(partial(os.write, ring, b"!"))
        try:
            if not _was_typed(console, bell, please_stop):
                please_stop.wait()
        finally:
            please_stop._unsubscribe(key)
    finally:
        os.close(bell)
        os.close(ring)


def _was_typed(console: int, bell: int, please_stop: Signal) -> bool:
    """Whether "exit" came before the end of the input, and before the signal."""
    typed = b""
    while not please_stop:
        ready, _, _ = select.select([console, bell], [], [])
        if console in ready:
            data = os.read(console, 4096)
            if not data:
                return False
            *lines, typed = (typed + data).split(b"\n")
            if any(line.strip().lower() == b"exit" for line in lines):
                return True
    return False
