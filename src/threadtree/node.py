"""Node: what every piece of concurrent work is, and the tree that all of them form.

A node knows nothing of threads. It has a name, a parent, children, and one :class:`Life` for
each time it is run. Children join their parent's set when they start and leave it when they have
ended; both under the lock of the tree, so that a parent that ends can tell when the last has gone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic, sleep
from typing import Any, Self
from weakref import ref

from . import journal
from .errors import WorkerError
from .forks import after_fork_in_child
from .graces import graces
from .outcomes import Cancelled, Failure, Outcome, WorkerState
from .parking import FOREVER, here
from .signals import DONE, Signal
from .tally import Tally
from .timers import hurry

__all__ = ["Life", "Node", "ask_all", "tree", "walk"]


class _Tree:
    """What all nodes share: the lock of the tree, and whether anything may start at all.

    ``lock`` guards who is whose child, ``live`` and ``closing``. It is re-entrant, as a finalizer
    or signal handler may start work in the middle of it. Nothing that blocks, and nothing of the
    user's, is called while it is held. Take it by ``with``, on the lock itself: that
    is one step in C, which Ctrl-C cannot divide.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.live: dict[Node, None] = {}  # what was started and has not ended
        self.closing: dict[object, str] = {}  # why nothing may start now, by who says so
        # Who wants to hear of each node that has begun, ended, or made progress, and of which run.
        # Called on any thread, without a lock. Single operations; read through .copy().
        self.watchers: dict[object, Callable[[Any, Life], object]] = {}

    def tell_watchers(self, node: Node, life: Life) -> None:
        """Something has become of a node. An error in a watcher is logged."""
        for watcher in self.watchers.copy().values():
            try:
                watcher(node, life)
            except Exception as error:
                node._log_error("A watcher of %s raised", error)

    def keep_only(self, survivors: list[Any]) -> None:
        """We are in the child of a fork: everything else that ran is gone without an end."""
        children = [child for survivor in survivors for child in survivor._children]
        for node in [*self.live, *children]:
            if node not in survivors:
                node._life.vanish(node.path)
        for node in survivors:
            node._children.clear()
        self.__init__()  # type: ignore[misc]
        self.live.update(dict.fromkeys(survivors))


tree = _Tree()
after_fork_in_child(lambda: tree.keep_only(list(here.stack)))


class Life:
    """One run of a node, from before its start to its end. Each run has a new one."""

    __slots__ = (
        "asked_at",
        "deadline",
        "failed_children",
        "left",
        "origin",
        "outcome",
        "please_stop",
        "seats_closed",
        "shut_down",
        "state",
        "steps",
        "stopped",
        "waits_for",
        "winding_up",
    )

    def __init__(self) -> None:
        self.state = WorkerState.PENDING
        self.please_stop = Signal("please_stop")
        self.stopped = Signal("stopped")
        self.outcome: Outcome | None = None
        self.origin = ("?", 0)  # file and line that started it
        self.steps: Tally | None = None  # made when first counted; under the lock of the tree
        self.waits_for: dict[object, Any] = {}  # whom we wait for, and how; see circles.py
        self.asked_at = FOREVER  # set once, by the first who asks
        self.deadline = FOREVER  # when whoever ends a whole tree wants it ended; they write it
        self.left = False  # the last rung: it was named, and the exit does not wait for it again
        self.shut_down = False  # asked by the end of a whole tree: its Tills go; they write it, too
        # The code has ended and children are told at once; no child may come. Both are written
        # under the lock of the tree.
        self.winding_up = False
        self.seats_closed = False
        # Of children that have failed, to be reported at our end; forgotten with what they are to.
        # Made under the lock of the tree, as few need it; then single operations.
        self.failed_children: dict[int, ref[Failure]] | None = None

    def note_failed_child(self, failure: Failure) -> None:
        """Have it reported at our end, if it is still there, and nobody has looked at it."""
        with tree.lock:
            if self.failed_children is None:
                self.failed_children = {}
        links, key = self.failed_children, id(failure)
        links[key] = ref(failure, partial(links.pop, key))

    @property
    def told_at(self) -> float:
        """When asking is over, and every wait raises: the second rung of the ladder."""
        if self.asked_at == FOREVER:
            return FOREVER
        return min(self.asked_at + graces.asked, self.deadline)

    def vanish(self, path: str) -> None:
        """Its thread is in another process. Nobody is told; there may be nobody to tell."""
        self.outcome = Cancelled(path)
        self.state = self.outcome.state
        self.stopped = DONE

    @property
    def active(self) -> bool:
        """Started, and not ended."""
        return self.state is WorkerState.RUNNING

    @property
    def ended(self) -> bool:
        """Whether it came out somehow."""
        state = self.state  # once: one that begins between two looks is not ended
        return state is not WorkerState.PENDING and state is not WorkerState.RUNNING


class Node:
    """A piece of concurrent work in the tree. The base of Worker; use that."""

    _life: Life
    _ends_when_asked = True  # not so the worker of a thread that we did not start
    _passes_the_word_on = False  # whether its children are asked with it, not at its end

    def __init__(self, name: str, parent: Node | None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a name must be a string, not {name!r}")
        kind = type(self)
        if kind.__eq__ is not object.__eq__ or kind.__hash__ is not object.__hash__:
            raise TypeError(
                f"{kind.__name__} must not define __eq__ or __hash__: workers are known by their "
                "identity; a dataclass needs eq=False"
            )
        if parent is not None and parent._life.ended:
            raise WorkerError(
                f"{parent.path} has ended ({parent.state.name}) and can have no child; "
                "give another parent, or parent=False for none"
            )
        self.name = name
        self._parent: Any = parent
        # In the order of their start. Changed under the lock of the tree, read through .copy().
        self._children: dict[Node, None] = {}
        self._total_steps: int | None = None

    # -- the tree ------------------------------------------------------------------------------

    @property
    def parent(self) -> Any:
        """The node that tells this one to end, and waits for it; or None."""
        return self._parent

    @property
    def children(self) -> set[Any]:
        """The running children, as a set of its own."""
        return set(self._children.copy())

    @property
    def path(self) -> str:
        """The names from the root to here, like ``root/child``."""
        return "/".join(reversed([self.name, *(node.name for node in self._ancestors())]))

    def _ancestors(self) -> Iterator[Any]:
        node = self._parent
        while node is not None:
            yield node
            node = node._parent

    # -- the run -------------------------------------------------------------------------------

    @property
    def state(self) -> WorkerState:
        """Where the present run is. See :class:`WorkerState`."""
        return self._life.state

    @property
    def please_stop(self) -> Signal:
        """The signal that asks this run to end: go means end soon. A new one for each run."""
        return self._life.please_stop

    @property
    def stopped(self) -> Signal:
        """The signal that goes when this run has ended. A new one for each run.

        Its callbacks run on the ending thread, as the last thing before the native end.
        """
        return self._life.stopped

    @property
    def result(self) -> Any:
        """What the work returned, or None while it has not, or did not, return."""
        outcome = self._life.outcome
        return None if outcome is None else outcome.result

    @property
    def error(self) -> BaseException | None:
        """What the work raised, or None. To look here counts as having seen the error."""
        outcome = self._life.outcome
        return None if outcome is None else outcome.look()

    def _ask(self) -> None:
        """Ask this node to end, and those that are asked with it: the children of one that passes
        the word on, theirs, and so on. Safe in signal handlers and finalizers."""
        pending = [self]
        while pending:
            node = pending.pop()
            node._request_stop(now=False)
            if node._passes_the_word_on:
                pending.extend(node._children.copy())  # the newest is asked first

    def stop(self) -> Self:
        """Ask it to end. Returns self at once; any thread, signal handler or finalizer."""
        self._ask()
        return self

    def _request_stop(self, now: bool) -> None:
        """Ask this node alone."""
        life = self._life
        if life.active:
            life.asked_at = min(life.asked_at, monotonic())
            life.please_stop.go()

    # -- how far -------------------------------------------------------------------------------

    @property
    def completed_steps(self) -> int:
        """How many steps this run has completed."""
        steps = self._life.steps
        return 0 if steps is None else steps.value

    @property
    def total_steps(self) -> int | None:
        """How many steps there are in all; None when nobody knows. Can be set, by any thread."""
        return self._total_steps

    @total_steps.setter
    def total_steps(self, total: int | None) -> None:
        if total is not None and (isinstance(total, bool) or not isinstance(total, int)):
            raise TypeError(f"total_steps must be a whole number, or None, not {total!r}")
        if total is not None and total < 0:
            raise ValueError(f"total_steps must be 0 or more, or None, not {total}")
        self._total_steps = total

    @property
    def progress(self) -> float:
        """How far this run is, in percent from 0 to 100; 0 when ``total_steps`` is None."""
        total = self.total_steps
        if not total:
            return 0.0
        return max(
            0.0, 100.0 * (min(self.completed_steps, total) / total)
        )  # whole numbers: any size

    def _log_error(self, message: str, error: BaseException, *args: object) -> None:
        """Log an error; the message has our path as its first argument."""
        journal.error(message, self.path, *args, exc_info=error, worker=self.path)

    def advance(self, steps: int = 1) -> None:
        """Count completed steps. Exact from any number of threads."""
        life = self._life
        if life.steps is None:
            with tree.lock:
                if life.steps is None:
                    life.steps = Tally()
        life.steps.add(steps)

    # -- joining and leaving the parent's children ----------------------------------------------

    def _check_parent(self) -> None:
        """Raise WorkerError when nothing can start now, or not below our parent."""
        if tree.closing:
            reason = " and ".join(dict.fromkeys(tree.closing.values()))
            raise WorkerError(f"{self.path} cannot start: {reason}")
        if self._parent is not None and self._parent._life.seats_closed:
            raise WorkerError(f"{self.path} cannot start: its parent has ended")

    def _join_parent(self) -> bool:
        """Become a child of the parent, as we start; whether we come late, as its children have
        been asked already.

        Like the check before, under the lock of the tree. Who passes the word on does so without
        the lock: it sets the signal, then looks at its children. We join them, then look at it.
        """
        if self._parent is None:
            return False
        self._parent._children[self] = None
        parent = self._parent._life
        is_late = parent.winding_up or (self._parent._passes_the_word_on and parent.please_stop)
        if is_late:
            self._life.deadline = parent.told_at
            self._life.shut_down = parent.shut_down
        return bool(is_late)

    def _wind_up(self) -> None:
        """Our code has ended: tell the children, all at once, newest first."""
        life = self._life
        with tree.lock:
            life.winding_up = True
            children = list(self._children)
        for child in children:
            child._life.deadline = min(child._life.deadline, life.told_at)
        if life.shut_down:
            for node in walk(list(children)):
                node._life.shut_down = True
            hurry()  # the Tills that they made
        ask_all(reversed(children))

    def _close_seats(self) -> bool:
        """Take no more children, if none is there that must be told or waited for; whether so."""
        with tree.lock:
            for child in self._children:
                if not (self._life.winding_up and child.is_daemon()):
                    return False
            self._life.seats_closed = True
            return True

    def is_daemon(self) -> bool:
        """Whether its parent's end, or the program's, does not wait for this one."""
        return False


def ask_all(nodes: Iterable[Any]) -> None:
    """Ask all of them to end, without waiting for any.

    Each that is woken wants the interpreter's lock. A thousand that wait for it are a thousand
    that look for it every 5 ms, so now and then those that are awake get to run: 1,000 children
    end in 0.6 of the time.
    """
    for number, node in enumerate(nodes, start=1):
        node._ask()
        if number % 8 == 0:
            sleep(0)


def walk(roots: list[Any]) -> Iterator[Any]:
    """The nodes and everything below them, each once, level by level, without recursion."""
    seen = dict.fromkeys(roots)
    pending = deque(seen)
    while pending:
        node = pending.popleft()
        yield node
        for child in node._children.copy():
            if child not in seen:
                seen[child] = None
                pending.append(child)
