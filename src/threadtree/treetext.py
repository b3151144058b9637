"""The whole tree as text, for a person who wonders what the program is doing."""

from __future__ import annotations

from typing import Any

from .node import tree as live_tree

__all__ = ["roots", "tree"]


def tree() -> str:
    """The tree of everything that runs, a line each, children below their parents, with states.

    >>> from threadtree import Worker
    >>> with Worker(name="server") as server:
    ...     with Worker(name="client", parent=server):
    ...         print(tree())
    main: RUNNING
    server: RUNNING
      client: RUNNING
    """
    lines = []
    pending: list[tuple[Any, int]] = [(root, 0) for root in reversed(roots())]
    while pending:
        node, depth = pending.pop()
        lines.append(f"{'  ' * depth}{node.name}: {_description(node)}")
        pending.extend((child, depth + 1) for child in reversed(node._children.copy()))
    return "\n".join(lines)


def roots() -> list[Any]:
    """The topmost ancestor of each live node, in the order in which they started."""
    found: dict[Any, None] = {}
    for node in live_tree.live.copy():
        top = node
        for ancestor in node._ancestors():
            top = ancestor
        found[top] = None
    return list(found)


def _description(node: Any) -> str:
    words = [node.state.name]
    if node.is_daemon():
        words.append("daemon")
    if node.paused:
        words.append("paused")
    if node.please_stop:
        words.append("asked to stop")
    if node.total_steps:
        words.append(f"{node.progress:.0f} %")
    return ", ".join(words)
