"""Asyncio loops that own a thread.

While a loop of asyncio runs in the main thread, or another that is not ours, that thread's worker
does not wait by itself. So whatever of ours is first awaited there hangs a bell in its mailbox: the
loop then handles its events, and the calls that others ask of it. asyncio is imported by those
who use it.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .bells import Bell
from .loop import NOTHING
from .pool import current
from .roots import Root
from .runner import Runner

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["adopt_loop", "owner_of"]


# Loop -> the root whose thread it runs in. Each entry is written by that thread; read as one step.
_owners: WeakKeyDictionary[AbstractEventLoop, Root] = WeakKeyDictionary()


def adopt_loop() -> None:
    """Have the running loop handle the events of this thread's worker, if the thread is not ours.

    On the thread of the loop.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    root: Any = current()
    if not isinstance(root, Root) or _owners.get(loop) is root:
        return
    _owners[loop] = root
    bell = Bell(loop, lambda: root._turn(NOTHING, 0.0), copy_context())
    root._mailbox.be_woken_by(bell.ring)
    bell.ring()  # for what came before


def owner_of(loop: AbstractEventLoop) -> Root | None:
    """The worker of the thread that the loop runs in, as far as is known."""
    return _owners.get(loop)


Runner._adopt_loop = staticmethod(adopt_loop)
