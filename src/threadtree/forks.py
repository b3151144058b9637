"""What must be made anew in the child of a fork, where only the forking thread is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

__all__ = ["after_fork_in_child", "count", "renew_in_child"]

count = 0
"""How many forks there are between the first process and this one. Written in the hook only."""


def after_fork_in_child(renew: Callable[[], None]) -> None:
    """Call ``renew()`` in every forked child. A lock that a vanished thread held stays held, so
    each module that has one makes it anew this way; in the order in which they registered."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


_things: WeakSet[Any] = WeakSet()
_registered: dict[None, object] = {}


def renew_in_child(thing: Any) -> None:
    """Call ``thing._renew()`` in every forked child, as long as it lives; after all else."""
    _things.add(thing)
    mine = object()
    if _registered.setdefault(None, mine) is mine:
        after_fork_in_child(_renew_things)


def _renew_things() -> None:
    for thing in list(_things):
        thing._renew()


def _count() -> None:
    global count
    count += 1


after_fork_in_child(_count)
