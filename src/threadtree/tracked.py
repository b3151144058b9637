"""Tracked: a job that tells its node of each state, and now and then how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from .events import Event
from .heeding import Heeding
from .jobs import Job, T_co
from .messages import PROGRESS_CHANGED, STATE_CHANGED, Host, ProgressChanged, StateChanged, tell
from .node import Node, tree
from .reports import Reports
from .run import Run
from .tally import Tally, whole

__all__ = ["Tracked"]


class Tracked(Heeding[T_co]):
    """A job whose node is told of its states and its progress. The base of Task; use that."""

    StateChanged: ClassVar[Any] = StateChanged
    ProgressChanged: ClassVar[Any] = ProgressChanged

    progress_interval: float = 0.05
    """The least time between two messages of progress, in seconds. Set it on a task, or here."""

    def __init__(
        self,
        name: str,
        parent: Job[Any] | None,
        node: Host | Job[Any] | None,
        total_steps: int | None,
        sum_children: bool,
    ) -> None:
        can_be_told = isinstance(node, Job) or callable(getattr(node, "post_message", None))
        if node is not None and not can_be_told:
            raise TypeError(f"a node must have a post_message(), or be a worker, not {node!r}")
        self.node = node
        self._sums_children = sum_children
        # Of children that have left: what they had completed, and their totals; under tree.lock.
        self._departed = (0, 0)
        self._steps = Tally()
        self._reports = Reports()
        self._states_told: list[Any] = []  # by the thread that ends it
        super().__init__(name, parent)
        self._life.steps = self._steps
        Node.total_steps.__set__(self, total_steps)  # type: ignore[attr-defined]
        self._progress_told = (0, total_steps)  # by who tells, one at a time

    # -- its states --------------------------------------------------------------------------------

    def _set_off(self, run: Run) -> None:
        super()._set_off(run)
        self._tell_state(run)

    def _tell_state(self, run: Run) -> None:
        """Tell the node what the state is now, if it has not been told. A step of the end."""
        if self.node is not None and run.state not in (told.state for told in self._states_told):
            message = self.StateChanged(self, run.state)
            tell(self.node, message, STATE_CHANGED, self, self._states_told)

    def _close_reports(self, run: Run) -> None:
        """Tell how far it came, and nothing afterwards. A step of the end."""
        self._reports.close(self._tell_progress)

    def _tell_parent(self, name: str, data: Any = None) -> None:
        parent = self._parent
        if parent is not None and _will_hear(parent, name):
            super()._tell_parent(name, data)

    # -- its progress ------------------------------------------------------------------------------

    @property
    def completed_steps(self) -> int:
        """How many steps it has completed. (From Textual.)"""
        if not self._sums_children:
            return self._steps.value
        with tree.lock:  # so that no child leaves, and is counted twice or not at all
            return sum(_completed(node) for node in self._summed())

    @property
    def total_steps(self) -> int | None:
        """How many steps there are in all; None when nobody knows. Can be set. (From Textual.)"""
        own = self._total_steps
        if own is not None or not self._sums_children:
            return own
        with tree.lock:
            return sum(_total(node) for node in self._summed()) or None

    @total_steps.setter
    def total_steps(self, total: int | None) -> None:
        Node.total_steps.__set__(self, total)  # type: ignore[attr-defined]
        self._note_progress()

    def _summed(self) -> Iterator[Any]:
        """This one, and those below that are to be summed up. Under the lock of the tree."""
        pending: list[Any] = [self]
        while pending:
            node = pending.pop()
            yield node
            if _sums(node):
                pending.extend(node._children)

    def _child_departs(self, child: Any, launch: Any) -> None:
        with tree.lock:
            has_ended = child._life.outcome is not None  # and is not one whose start has failed
            if self._sums_children and has_ended and child in self._children:
                completed, total = self._departed
                self._departed = (
                    completed + child.completed_steps,
                    total + (child.total_steps or 0),
                )
            super()._child_departs(child, launch)

    def advance(self, steps: int = 1) -> None:
        """Complete so many steps more. Exact from any number of threads. (From Textual.)"""
        self._steps.add(steps)
        if not self._reports.is_due:
            self._note_progress()

    def update(self, completed_steps: int | None = None, total_steps: int | None = -1) -> None:
        """Say how many steps are completed, and of how many; None and -1 leave that as it is.

        ``total_steps=None``: nobody knows. Any thread. (From Textual.) Without arguments it is
        what it is in any worker: it handles queued events, in the task's own thread.
        """
        if completed_steps is None and total_steps == -1:
            super().update()
            return
        completed = None if completed_steps is None else whole(completed_steps)
        if total_steps != -1:
            self.total_steps = total_steps
        if completed is not None:
            self._steps.set(completed)
        self._note_progress()

    def _count(self, item: Any) -> None:
        """What a generator has yielded says how far it is."""
        match item:
            case bool():
                self.advance()
            case int():
                Tracked.update(self, item)
            case (int() as completed, int() | None as total):
                Tracked.update(self, completed, total)
            case _:
                self.advance()

    def _note_progress(self) -> None:
        if not self._reports.is_due:
            self._reports.changed(self._tell_progress, self.progress_interval)

    def _tell_progress(self) -> None:
        """Tell how far it is, if that is news. By one thread at a time."""
        now = (self.completed_steps, self.total_steps)
        if now == self._progress_told:
            return
        self._progress_told = now
        message = self.ProgressChanged(self, *now)
        if self.node is not None:
            tell(self.node, message, PROGRESS_CHANGED, self, [])
        for node in self._ancestors():
            if node is not self.node and _will_hear(node, PROGRESS_CHANGED):
                node._post(Event(PROGRESS_CHANGED, message, target=self))
        if tree.watchers:
            tree.tell_watchers(self, self._life)
        if _sums(self._parent):
            self._parent._note_progress()


def _will_hear(node: Any, name: str) -> bool:
    """Whether an event is of use there. A main thread that asyncio or a window owns might never
    handle it, and so keep all of them."""
    return bool(node._ends_when_asked or name in node.listeners or node._life.waits)


def _sums(node: Any) -> bool:
    return isinstance(node, Tracked) and node._sums_children


def _completed(node: Any) -> int:
    """What it has completed itself, and those that have left it."""
    if not isinstance(node, Tracked):
        return int(node.completed_steps)
    return node._steps.value + node._departed[0]


def _total(node: Any) -> int:
    if not isinstance(node, Tracked):
        return node.total_steps or 0
    return (node._total_steps or 0) + node._departed[1]
