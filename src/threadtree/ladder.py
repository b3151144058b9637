"""The ladder of an end: *asked*, clean-up code may still wait; *told*, every wait raises; *left*,
named in a report. One deadline holds for everything that is to end together.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from . import journal
from .graces import graces
from .node import ask_all, walk
from .parking import FOREVER, seconds
from .pool import current
from .stragglers import Straggler, find_stragglers
from .timers import hurry

__all__ = ["end_in_order", "leave", "report", "wait_until_ended"]


def end_in_order(nodes: list[Any], grace: float | None = None) -> list[Straggler]:
    """Ask, tell, and name. Who calls cannot wait for itself, nor for what waits for its end."""
    grace = graces.asked if grace is None else seconds(grace, "grace must be")
    caller = current()
    spared = {caller, *caller._ancestors()}
    nodes = [node for node in nodes if node._ends_when_asked]
    mine = [node for node in nodes if node in spared]
    nodes = [node for node in nodes if node not in spared]
    _ask(nodes, monotonic() + grace)
    wait_until_ended(nodes, monotonic() + grace)
    late = [node for node in walk(nodes) if node._life.active and node not in spared]
    if late:
        _tell(late)
        wait_until_ended(late, monotonic() + graces.told)
    stragglers = leave([s for s in find_stragglers(nodes) if s.worker not in spared])
    for node in mine:
        node._ask()
    return stragglers


def leave(stragglers: list[Straggler]) -> list[Straggler]:
    """The last rung: nobody waits for these again at the exit."""
    for straggler in stragglers:
        straggler.worker._life.left = True
    return stragglers


def report(stragglers: list[Straggler]) -> None:
    """Name in the log what did not end."""
    for straggler in stragglers:
        journal.warning("%s", straggler, worker=straggler.path)


def _ask(nodes: Iterable[Any], deadline: float) -> None:
    """Ask the topmost of them; they pass the word, and the deadline, down."""
    members = set(nodes)
    for life in [node._life for node in nodes]:
        if life.active:  # or the next run would be asked
            life.deadline = min(life.deadline, deadline)
            life.shut_down = True
    hurry()  # the Tills that they made
    ask_all(node for node in nodes if node._parent not in members)


def _tell(nodes: Iterable[Any]) -> None:
    """Have every wait in them raise, from now on."""
    for node in nodes:
        node._life.deadline = monotonic()
        node._ask()
        node.wake()


class _AllEnded:
    """The condition that these runs have ended."""

    def __init__(self, runs: list[Any]) -> None:
        self._running = runs

    def __bool__(self) -> bool:
        while self._running and self._running[-1].stopped:
            self._running.pop()
        return not self._running


def wait_until_ended(nodes: Iterable[Any], deadline: float = FOREVER) -> bool:
    """Wait, as the current worker, for the end of the nodes' present runs; whether it came."""
    runs = [node._life for node in nodes if node._life.active]
    waiter = current()
    keys = [(run, run.stopped._subscribe(waiter.wake)) for run in runs]
    ended = _AllEnded(runs.copy())
    try:
        while not ended and (deadline == FOREVER or monotonic() < deadline):
            waiter.wait_for(ended, deadline)  # in a root, a stop ends it early
    finally:
        for run, key in keys:
            run.stopped._unsubscribe(key)
    for run in runs:
        if run.stopped and getattr(run, "launch", None) is not None:
            run.launch.await_end()
    return bool(ended)
