"""Finding circles of waits: who waits, without a limit, for whom, and cannot go on otherwise.

There are three things to wait for: that somebody ends, that somebody makes a call for us, and that
somebody's asyncio loop lets us run. Who waits in an event loop hears calls meanwhile, and makes
them; who joins does not, nor who waits for a call itself. And who awaits leaves the loop to others.
So a way that comes to somebody by a call goes on only by waits that are deaf, and one that comes by
a loop only by those that hold it up.

At the exit, the main thread waits for the workers that nobody asks to end. Nobody could catch it if
that raised, so it is not entered, but looked up; and who waits for its end by then looks again.

Only waits that nothing else can satisfy are entered here. A wait with a timeout ends by itself, and
closes no circle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from .errors import DeadlockError
from .forks import after_fork_in_child

__all__ = [
    "AWAITING",
    "DEAF",
    "FOR_A_CALL",
    "FOR_THE_LOOP",
    "HEARING",
    "Kind",
    "enter",
    "refuse_endless",
    "without_circle",
]

T = TypeVar("T")

# Entering a wait is exclusive, so that of two waits that close a circle together, one is the later,
# and only that one raises. The entries are in the lives of the nodes that wait; leaving is a single
# step in C, which Ctrl-C cannot divide.
_entering = threading.RLock()


class Kind:
    """How somebody waits: what can be done by them meanwhile; and for what, if not for an end."""

    __slots__ = ("_leaves", "_needs")

    def __init__(self, leaves: frozenset[str] = frozenset(), needs: str = "") -> None:
        self._leaves = leaves
        self._needs = needs

    @property
    def is_for_the_end(self) -> bool:
        """Whether nothing less than the end of the other is waited for."""
        return not self._needs

    def is_met_by(self, other: Kind) -> bool:
        """Whether what we wait for can be had of somebody although they wait so themselves."""
        return self._needs in other._leaves


HEARING: Final = Kind(frozenset({"calls"}))
DEAF: Final = Kind()
AWAITING: Final = Kind(frozenset({"calls", "the loop"}))
FOR_A_CALL: Final = Kind(needs="calls")
FOR_THE_LOOP: Final = Kind(needs="the loop")


def without_circle(waiter: Any, target: Any, wait: Callable[[], T], kind: Kind = HEARING) -> T:
    """Give ``wait()``, in which ``waiter`` waits for ``target``, without a limit.

    Raises DeadlockError instead, if the target already waits, by whatever chain, for the waiter.
    """
    entry = object()
    entries = waiter._life.waits_for
    try:
        enter(entry, waiter, target, kind)
        return wait()
    finally:
        entries.pop(entry, None)


def enter(entry: object, waiter: Any, target: Any, kind: Kind) -> None:
    """Note a wait, until ``entry`` is taken out of the waiter's ``waits_for``.

    Raises DeadlockError when it would close a circle.
    """
    with _entering:
        refuse_endless(waiter, [target], kind)
        waiter._life.waits_for[entry] = (target, kind)


def refuse_endless(waiter: Any, targets: Iterable[Any], kind: Kind = HEARING) -> None:
    """Raise DeadlockError if waiting for one of these, whichever is first, can have no end.

    That is, if each of them already waits, by whatever chain, for the waiter. A wait for one of
    several is not entered, so a circle is not found in it that somebody else closes later.
    """
    if waiter._is_leaving():
        return  # it will not wait at all
    circle: list[Any] = []
    with _entering:
        for target in targets:
            path = _path(target, waiter, kind)
            if not path:
                return
            circle = circle or path
    if circle:
        raise DeadlockError(
            "this wait would close a circle: "
            + " waits for ".join(node.path for node in [waiter, *circle])
        )


def _path(start: Any, goal: Any, kind: Kind) -> list[Any]:
    """The chain of waits from start to goal, which is about to wait so; nothing if there is none.

    A step on the way is a node, and how whoever comes before it waits for it.
    """
    first = (start, kind)
    came_from: dict[tuple[Any, Kind], Any] = {first: None}
    for step in (pending := [first]):
        node, way = step
        if node is goal and not way.is_met_by(kind):
            chain = [step]
            while came_from[chain[-1]] is not None:
                chain.append(came_from[chain[-1]])
            return [node for node, _ in reversed(chain)]
        if node._is_leaving():
            continue  # a stop has come, and ends its waits
        waits = list(node._life.waits_for.copy().values())
        if way.is_for_the_end:
            waits += [(target, HEARING) for target in node._waits_at_its_end()]
        for following in waits:
            if following not in came_from and not way.is_met_by(following[1]):
                came_from[following] = step
                pending.append(following)
    return []


def _after_fork() -> None:
    global _entering
    _entering = threading.RLock()


after_fork_in_child(_after_fork)
