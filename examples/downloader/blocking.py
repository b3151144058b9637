"""How a stop reaches code that blocks outside the library: in a socket, or at a terminal.

A stop makes ``please_stop`` go at once, and calls what was left there with ``then``, in the thread
that stops. So no read needs to look up from time to time whether it is still wanted.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Protocol

from threadtree import current

__all__ = ["cut_by_stop", "readable"]


class HasFileno(Protocol):
    """A file, a socket, a server."""

    def fileno(self) -> int:
        """Its file descriptor."""


@contextmanager
def cut_by_stop(connection: socket.socket) -> Iterator[None]:
    """In the block, a stop of the current worker cuts the connection: no read outlasts it."""
    # A duplicate, because TLS takes over the descriptor of the original.
    with connection.dup() as wire:

        def cut() -> None:
            with suppress(OSError):  # the other side was faster
                wire.shutdown(socket.SHUT_RDWR)

        stop = current().please_stop.then(cut)
        try:
            yield
        finally:
            stop.remove_then(cut)


@contextmanager
def readable(source: HasFileno | int) -> Iterator[Callable[[], bool]]:
    """Gives a function that sleeps until ``source`` can be read, or a stop comes: then it is False.

    For the current worker, in the block.
    """
    ear, mouth = socket.socketpair()
    # Cut off from one end, a socket becomes readable at the other.
    with ear, mouth, cut_by_stop(mouth), DefaultSelector() as selector:
        selector.register(source, EVENT_READ)
        selector.register(ear, EVENT_READ)
        stop = current().please_stop

        def wait() -> bool:
            selector.select()
            return not stop

        yield wait
