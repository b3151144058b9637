"""Asyncio loops that own a thread.

While a loop of asyncio runs in the main thread, or another that is not ours, that thread's worker
does not wait by itself. So whatever of ours is first awaited there hangs a bell in its mailbox: the
loop then handles its events, and the calls that others ask of it. asyncio is imported by those
who use it.
"""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .bells import Bell
from .joinable import Joinable
from .loop import NOTHING
from .pool import current
from .roots import Root

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["adopt_loop", "owner_of", "running_loop"]


def running_loop() -> AbstractEventLoop | None:
    """The loop that runs in this thread, if there is one. Does not import asyncio."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


# Loop -> the root whose thread it runs in. Each entry is written by that thread; read as one step.
_owners: WeakKeyDictionary[AbstractEventLoop, Root] = WeakKeyDictionary()


def adopt_loop() -> None:
    """Have the loop that runs here, if one does, handle the events of this thread's worker, if the
    thread is not ours."""
    loop = running_loop()
    root: Any = current()
    if loop is None or not isinstance(root, Root):
        return
    if root.bell is not None and root.bell.is_of(loop):
        return
    _owners[loop] = root
    # In a context of its own: that of whoever was first to await here is not the thread's, and
    # would be kept as long as the thread lives.
    root.bell = bell = Bell(loop, lambda: root._turn(NOTHING, 0.0), Context())
    root._mailbox.be_woken_by(bell.ring)
    bell.ring()  # for what came before


def owner_of(loop: AbstractEventLoop) -> Root | None:
    """The worker of the thread that the loop runs in, as far as is known."""
    return _owners.get(loop)


Joinable._adopt_loop = staticmethod(adopt_loop)
