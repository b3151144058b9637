"""What must be made anew in the child of a fork, where only the forking thread is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

__all__ = ["after_fork_in_child", "count", "renew_in_child"]

count = 0
"""How many forks there are between the first process and this one. Written in the hook only."""


def after_fork_in_child(renew: Callable[[], None]) -> None:
    """Call ``renew()`` in every forked child. A lock that a vanished thread held stays held, so
    each module that has one makes it anew this way; in the order in which they registered."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


# What is to be renewed, by its id, as programs may define __eq__. Entries come and go by single
# operations of a dict, each with its object; read through .copy().
_things: dict[int, ref[Any]] = {}
_registered: dict[None, object] = {}  # setdefault() decides who registers the hook


def renew_in_child(thing: Any) -> None:
    """Call ``thing._renew()`` in every forked child, as long as it lives; after all else."""
    key = id(thing)
    _things[key] = ref(thing, partial(_things.pop, key))
    mine = object()
    if _registered.setdefault(None, mine) is mine:
        after_fork_in_child(_renew_things)


def _renew_things() -> None:
    for thing in [link() for link in _things.copy().values()]:
        if thing is not None:
            thing._renew()


def _count() -> None:
    global count
    count += 1


after_fork_in_child(_count)
