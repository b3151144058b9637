"""Finding circles of waits: who waits, without a limit, for the end of whom.

Only waits that nothing but that end can satisfy are entered here. A wait with a timeout ends by
itself, and closes no circle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import DeadlockError
from .forks import after_fork_in_child

__all__ = ["without_circle"]

T = TypeVar("T")

# Entering a wait is exclusive, so that of two waits that close a circle together, one is the later,
# and only that one raises. The entries are in the lives of the nodes that wait; leaving is a single
# step in C, which Ctrl-C cannot divide.
_entering = threading.RLock()


def without_circle(waiter: Any, target: Any, wait: Callable[[], T]) -> T:
    """Give ``wait()``, in which ``waiter`` waits for the end of ``target``, without a limit.

    Raises DeadlockError instead, if the target already waits, by whatever chain, for the waiter.
    """
    entry = object()
    entries = waiter._life.waits_for
    try:
        with _entering:
            circle = _path(target, waiter)
            if circle:
                raise DeadlockError(
                    "this wait would close a circle: "
                    + " waits for ".join(node.path for node in [waiter, *circle])
                )
            entries[entry] = target
        return wait()
    finally:
        entries.pop(entry, None)


def _path(start: Any, goal: Any) -> list[Any]:
    """The chain of waits from start to goal, or nothing if there is none."""
    came_from: dict[Any, Any] = {start: None}
    for node in (pending := [start]):
        if node is goal:
            chain = [node]
            while came_from[chain[-1]] is not None:
                chain.append(came_from[chain[-1]])
            return chain[::-1]
        for target in node._life.waits_for.copy().values():
            if target not in came_from:
                came_from[target] = node
                pending.append(target)
    return []


def _after_fork() -> None:
    global _entering
    _entering = threading.RLock()


after_fork_in_child(_after_fork)
