"""Naming what did not end in time: its path, since when it was asked, and where it is now."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any, NamedTuple

from .node import walk
from .parking import FOREVER

__all__ = ["Straggler", "find_stragglers"]


class Straggler(NamedTuple):
    """Work that was still running when its time was over.

    ``seconds`` is how long ago it was asked to end, None if it was not; ``stack`` is where its
    thread was, most recent call last.
    """

    worker: Any
    path: str
    seconds: float | None
    stack: str

    def __str__(self) -> str:
        since = "never asked" if self.seconds is None else f"asked {self.seconds:.1f} s ago"
        return f"Worker {self.path} is still running ({since}), at:\n{self.stack}"


def find_stragglers(roots: list[Any]) -> list[Straggler]:
    """Those of the nodes, and of all below them, that have not ended."""
    late = [node for node in walk(roots) if node._life.active]
    if not late:
        return []
    from traceback import format_stack  # an exit at which all is well need not take its 5 ms

    frames = sys._current_frames()
    now = monotonic()
    found = []
    for node in late:
        life = node._life
        frame = frames.get(getattr(life, "owner", None) or 0)
        asked = None if life.asked_at == FOREVER else now - life.asked_at
        stack = "".join(format_stack(frame)) if frame else "  (not on a thread)\n"
        found.append(Straggler(node, node.path, asked, stack))
    return found
