"""Turns: when each task of a manager starts: behind those that are to end first, then in line."""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .circles import DEAF
from .forks import renew_in_child
from .outcomes import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from .tasks import Task

__all__ = ["Place", "Policy", "Turn", "Turns"]

Policy: TypeAlias = Literal["replace", "wait", "skip", "latest"]


class Place(enum.Enum):
    """Where a task is on its way."""

    BEHIND = "others are to end first"
    IN_LINE = "there are as many as may be"
    STARTED = "it runs, or is about to"
    PAST = "it runs no more, or never will"


class Turn:
    """The turn of one task. Changed in :meth:`Turns.make_changes`, if not said otherwise."""

    __slots__ = (
        "ahead",
        "follower",
        "is_attended",
        "is_wanted",
        "key",
        "place",
        "policy",
        "rival",
        "task",
    )

    def __init__(self, task: Task[Any], key: Hashable, policy: Policy | None) -> None:
        self.task = task
        self.key = key  # of its group
        self.policy = policy  # None: behind nobody
        self.place = Place.BEHIND
        # Of those that are to end first, the last: all others are ahead of one of these. So of n
        # in a row each is behind one, not n, and at most one is right behind each: its follower.
        self.ahead: dict[Turn, None] = {}
        self.follower: Turn | None = None
        self.is_wanted = False  # the limit does not hold it: one that runs waits for it
        self.rival: Task[Any] | None = None  # which makes it needless
        self.is_attended = False  # whoever lets it come is there to launch it; written by them

    @property
    def is_to_come(self) -> bool:
        """Whether its task has yet to start."""
        return self.place is Place.BEHIND or self.place is Place.IN_LINE


_InOrder: TypeAlias = "OrderedDict[Turn, None]"  # quick to leave anywhere


class Turns:
    """The tasks of a manager that have not ended, and where on their way each of them is.

    A task comes in behind others, waits until those have ended, then in the line for one of
    ``limit`` places, and is to start.

    A signal handler or finalizer may ask for a change in the middle of another one, on the same
    thread. So a change is only noted, and made by :meth:`make_changes`, one after the other. Ctrl-C
    may come in the middle: every change can be made twice, and is forgotten when it is complete.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        # Noted by anyone; taken out under the lock. A deque: its single operations are atomic.
        self._changes: deque[Callable[[], object]] = deque()
        self.settling: dict[int, object] = {}  # threads that settle them; single operations
        # Guards all that follows. Re-entrant, for a handler that comes in the middle and must not
        # wait for itself. Nothing is waited for, launched or told while it is held.
        self.lock = threading.RLock()
        self._is_changing = False
        # Read through .copy() by those without the lock, as are the next two.
        self.tasks: dict[Task[Any], Turn] = {}
        # What is to be done when the lock is free again, by whoever sees it. It is taken out, by a
        # single operation, when it was done. Twice does no harm.
        self.to_ask: dict[Task[Any], None] = {}  # to end, as another stands in its place
        self.to_start: dict[Task[Any], None] = {}
        self._groups: dict[Hashable, _InOrder] = {}  # those that are not PAST
        self._line: _InOrder = OrderedDict()  # those IN_LINE
        self._started: set[Turn] = set()  # those STARTED
        renew_in_child(self)

    # -- for anyone --------------------------------------------------------------------------------

    def come_in(self, turn: Turn) -> None:
        """Take in a task, behind those of its group, as its policy says."""
        self._changes.append(partial(self._come_in, turn))

    def look_at(self, turn: Turn) -> None:
        """It has been placed: its turn may come."""
        self._changes.append(partial(self._look_at, turn))

    def want(self, turn: Turn) -> None:
        """One that runs waits for it: so for those ahead of it, too. The limit holds none."""
        self._changes.append(partial(self._want, turn))

    def leave(self, task: Task[Any]) -> None:
        """It has ended."""
        self._changes.append(partial(self._leave, task))

    @property
    def are_settled(self) -> bool:
        """Whether nothing is to be changed or done."""
        return not (self._changes or self.to_ask or self.to_start)

    def make_changes(self) -> None:
        """Make all changes that were noted; in the middle of one, leave them to who makes that."""
        with self.lock:
            if self._is_changing:
                return
            try:
                self._is_changing = True
                while True:  # the jump back of a "while self._changes" is not covered by the try
                    if not self._changes:
                        break
                    self._changes[0]()
                    self._changes.popleft()
            finally:
                self._is_changing = False

    def has_started(self, task: Any) -> bool:
        """Whether it is one of ours that runs, or is about to."""
        turn = self.tasks.get(task)
        return turn is not None and turn.place is Place.STARTED

    def of_group(self, key: Hashable) -> list[Task[Any]]:
        """The tasks of a group that have not ended, in their order."""
        with self.lock:
            group = self._groups.get(key, ())
            return [turn.task for turn in group if not turn.task.is_finished]

    # -- the changes -------------------------------------------------------------------------------

    def _come_in(self, turn: Turn) -> None:
        group = self._groups.setdefault(turn.key, OrderedDict())
        if turn.policy is not None:
            # Those that have ended by their state may be kept from leaving by who waits for us.
            while ended := [other for other in _last_of(group, turn) if other.task.is_finished]:
                for other in ended:
                    self._pass_on(other)
            if turn.policy == "skip" and group and turn not in group:
                turn.rival = next(iter(group)).task
                turn.place = Place.PAST
                self.to_ask[turn.task] = None
                return
            self._oust(group, turn)
            for other in _last_of(group, turn):
                _put_behind(turn, other)
        self._groups[turn.key] = group  # which its last may have taken out
        group[turn] = None
        self.tasks[turn.task] = turn
        self._look_at(turn)

    def _oust(self, group: _InOrder, turn: Turn) -> None:
        """Those that give way never start. The newest first: it would follow an older one."""
        if turn.policy != "replace" and turn.policy != "latest":
            return
        for old in [old for old in reversed(group) if old is not turn]:
            if turn.policy == "replace" or old.is_to_come:
                old.task._replaced = True
                self.to_ask[old.task] = None
            if old.is_to_come:
                self._pass_on(old)

    def _look_at(self, turn: Turn) -> None:
        """If nobody is ahead of it any more, it stands in line."""
        if turn.place is Place.BEHIND and turn.task._place is not None and not turn.ahead:
            self._line[turn] = None
            turn.place = Place.IN_LINE
        if turn.is_wanted and turn.place is Place.IN_LINE:
            self._start(turn)
        self._fill_up()

    def _fill_up(self) -> None:
        """Let those in line start, as far as there is room."""
        while self._line:
            first = next(iter(self._line))
            # The first may have been started before Ctrl-C came.
            in_spite = self.limit is None or first in self._started
            if not in_spite and len(self._started) >= self.limit:  # type: ignore[operator]
                return
            self._start(first)

    def _start(self, turn: Turn) -> None:
        self._started.add(turn)
        turn.place = Place.STARTED
        if not turn.is_attended:
            self.to_start[turn.task] = None
        self._line.pop(turn, None)

    def _want(self, turn: Turn) -> None:
        wanted = [turn]
        for one in wanted:
            wanted.extend(other for other in one.ahead if not other.is_wanted)
        for one in reversed(wanted):  # whoever is wanted, so are those ahead of it
            one.is_wanted = True
            self._look_at(one)

    def _leave(self, task: Task[Any]) -> None:
        turn = self.tasks.get(task)
        if turn is not None:
            self._pass_on(turn)
            self.tasks.pop(task, None)

    def _pass_on(self, turn: Turn) -> None:
        """Its turn is over. Those behind it go on; if it was behind others, behind those."""
        follower = turn.follower
        for other in turn.ahead:
            if follower is None:
                other.follower = None
            else:
                _put_behind(follower, other)
        self._line.pop(turn, None)
        self._started.discard(turn)
        self._fill_up()  # first those that stand there already
        if follower is not None:
            follower.ahead.pop(turn, None)
            follower.task._life.waits_for.pop(turn.task, None)
            self._look_at(follower)
        for other in turn.ahead:
            turn.task._life.waits_for.pop(other.task, None)
        turn.ahead = {}
        turn.follower = None
        group = self._groups.get(turn.key)
        if group is not None:
            group.pop(turn, None)
            if not group:
                self._groups.pop(turn.key, None)
        turn.place = Place.PAST

    def _renew(self) -> None:
        """In the child of a fork: forget the tasks whose threads are in the parent."""
        turns = self.tasks
        self.__init__(self.limit)  # type: ignore[misc]
        for task, turn in turns.items():
            if task.state is WorkerState.PENDING:
                task._life.vanish(task.path)
            if not task.is_finished:  # it runs on the thread that forked
                turn.ahead, turn.follower = {}, None
                self.tasks[task] = turn
                self._groups.setdefault(turn.key, OrderedDict())[turn] = None
                self._started.add(turn)


def _last_of(group: _InOrder, turn: Turn) -> Iterator[Turn]:
    """Those that nobody of their group is behind: the newest, up to one that is behind all before.

    Without the turn itself, which may be there already.
    """
    for other in reversed(group):
        if other is not turn:
            yield other
            if other.policy is not None:
                return


def _put_behind(turn: Turn, other: Turn) -> None:
    turn.ahead[other] = None
    other.follower = turn
    # So that a wait for the task, in the other, is found to close a circle. Not by enter(),
    # whose lock stands above: nobody waits for the task yet who does not for the other, too.
    turn.task._life.waits_for[other.task] = (other.task, DEAF)
