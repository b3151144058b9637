"""WorkerManager: tasks that belong together: in groups, one at a time, so many at a time."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
)
from functools import partial
from threading import get_ident
from typing import Any, Final, TypeVar, overload

from . import gathering, journal
from .collective import Collective
from .errors import INTERRUPTS
from .jobs import Job
from .messages import Host
from .node import ask_all
from .outcomes import Failure
from .parking import deadline_after
from .tasks import Task, innermost, parent_of
from .turns import Place, Policy, Turn, Turns

__all__ = ["Policy", "WorkerManager"]


T = TypeVar("T")
_POLICIES: Final = ("replace", "wait", "skip", "latest")


class WorkerManager(Collective):
    """Runs tasks, and knows those that have not ended: iterate over it, or take its ``len()``.

    ``node`` is told of the tasks' states and progress; see :class:`Task`. Of more than ``limit``
    tasks, the others wait for their turn; but one that another of them waits for, or a child of
    one, is let in: not so by ``task.stopped.wait()``, or by way of somebody who is neither.
    ``on_error(error)`` is called, in the thread of the task, when one has failed; without it the
    error is logged. ``parent`` is that of the tasks: by default the node, if that is a worker, or
    who makes the manager.

    In a ``with`` or ``async with`` block, the end of the block waits for the tasks. An error in the
    block cancels them, and one in a task, if there is no ``on_error``, cancels the others, and is
    raised at the end, in a group. (From Textual.)

    >>> from threadtree import WorkerManager
    >>> with WorkerManager() as tasks:
    ...     squares = tasks.map(lambda n: n * n, range(4))
    ...     print(list(squares))
    [0, 1, 4, 9]
    """

    def __init__(
        self,
        node: Host | Job[Any] | None = None,
        *,
        limit: int | None = None,
        on_error: Callable[[BaseException], object] | None = None,
        parent: Job[Any] | bool | None = None,
    ) -> None:
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit must be a whole number, or None for no limit, not {limit!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, or None for no limit, not {limit!r}")
        if on_error is not None and not callable(on_error):
            raise TypeError(f"on_error must be callable, not {on_error!r}")
        self.node = node
        self._on_error = on_error
        self._parent = parent_of(parent, node)
        self._turns = Turns(limit)
        self._block = None

    @property
    def limit(self) -> int | None:
        """How many tasks run at a time, if there is a limit."""
        return self._turns.limit

    # -- running -----------------------------------------------------------------------------------

    @overload
    def run(
        self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any
    ) -> Task[T]: ...
    @overload
    def run(
        self, work: Callable[..., Generator[Any, Any, T]], *args: Any, **options: Any
    ) -> Task[T]: ...
    @overload
    def run(
        self, work: Callable[..., AsyncGenerator[Any, Any]], *args: Any, **options: Any
    ) -> Task[None]: ...
    @overload
    def run(self, work: Awaitable[T], **options: Any) -> Task[T]: ...
    @overload
    def run(self, work: Callable[..., T], *args: Any, **options: Any) -> Task[T]: ...
    def run(
        self,
        work: Any,
        *args: Any,
        name: str = "",
        group: str = "default",
        description: str = "",
        exclusive: bool | Policy = False,
        thread: bool | None = None,
        timeout: float | None = None,
        exit_on_error: bool = True,
        total_steps: int | None = None,
        **kwargs: Any,
    ) -> Task[Any]:
        """Run ``work(*args, **kwargs)`` as a :class:`Task`, and give that.

        The other arguments are those of the task. With ``exclusive``, one task of a ``group`` runs
        at a time. ``"replace"`` or True: those that are there are cancelled, and when they have
        *ended*, this one starts; what one of them returns all the same is dropped. ``"wait"``: it
        starts when they have ended. ``"skip"``: if there is one, that is given instead.
        ``"latest"``: it starts when the one that runs has ended, if no later one has been asked for
        by then.

        ``exit_on_error=False`` leaves an error to who waits for the task. Raises ValueError for
        another ``exclusive``, TypeError for arguments of a wrong type, WorkerError when the parent
        has ended or the program is shutting down. Any thread.
        """
        policy = _policy(exclusive)
        if (args or kwargs) and not callable(work):
            raise TypeError(f"only what is callable can be given arguments, not {work!r}")
        call = partial(work, *args, **kwargs) if args or kwargs else work
        parent = self._parent_of_tasks()

        def make() -> Task[Any]:
            return Task(
                call,
                node=self.node,
                parent=False if parent is None else parent,
                name=name,
                group=group,
                description=description,
                exit_on_error=exit_on_error,
                thread=thread,
                timeout=timeout,
                total_steps=total_steps,
            )

        return self._take_in(make, group, policy)

    def _take_in(
        self,
        make: Callable[[], Task[Any]],
        key: Hashable,
        policy: Policy | None,
        start: bool = True,
    ) -> Task[Any]:
        """Make a task that runs when its turn comes; or give the one that makes it needless.

        Without ``start``, its turn does not come before it is placed and ``_admit``.
        """
        if policy == "skip" and (rivals := self._turns.of_group(key)):
            return rivals[0]
        task = make()
        if start:
            task._be_placed()
        turn = Turn(task, key, policy)
        turn.is_attended = start
        try:
            task._belong_to(self, reports=self._on_error is None and self._block is None)
            self._turns.come_in(turn)
            self._settle()
            if turn.rival is not None:
                return turn.rival
            task.stopped._subscribe(partial(self._leave, task))  # at once, if it has ended
            if (block := self._block) is not None:
                block.tasks.append(task)
                if block.failures:  # whoever adds one looks for the tasks afterwards
                    return task.cancel()
            if start:
                self._attend(turn)
        except BaseException as error:
            task._give_up(error)
            raise
        return task

    def _parent_of_tasks(self) -> Job[Any] | None:
        return self._parent

    def _admit(self, task: Task[Any]) -> None:
        """It is one that was taken in, and has been placed since: its turn may come."""
        turn = self._turns.tasks.get(task)
        if turn is None:
            return
        try:
            turn.is_attended = True
            self._turns.look_at(turn)
            self._settle()
            self._attend(turn)
        except BaseException as error:
            task._give_up(error)
            raise

    def _attend(self, turn: Turn) -> None:
        """Launch it, if its turn has come at once; else whoever makes it come does."""
        turn.is_attended = False  # who makes it come says so, then looks here
        if turn.place is Place.STARTED:
            turn.task._launch()

    def _leave(self, task: Task[Any]) -> None:
        """It has ended. On the thread that ended it; nothing happens the second time."""
        if task.is_finished:  # not so one whose start has failed
            self._turns.leave(task)
        self._settle()

    def _settle(self) -> None:
        """Make the changes that were noted, and do what is to be done then, until nothing is left.

        Within another call of this on the same thread, which goes on with it, only the changes: so
        a row of tasks that cannot begin is no recursion, and nothing is launched in the middle of a
        change. Ctrl-C is raised when all is done.
        """
        mine = object()
        interrupt: BaseException | None = None
        while True:
            try:
                while True:
                    if self._settle_once(get_ident(), mine):
                        break
                break
            except INTERRUPTS as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _settle_once(self, me: int, mine: object) -> bool:
        """Whether nothing is left for us. What comes while we leave is looked for afterwards."""
        try:
            is_outermost = self._turns.settling.setdefault(me, mine) is mine
            self._turns.make_changes()
            if not is_outermost:
                return True
            self._ask_and_launch()
        finally:
            if self._turns.settling.get(me) is mine:
                self._turns.settling.pop(me, None)
        return self._turns.are_settled

    def _ask_and_launch(self) -> None:
        turns = self._turns
        ask_all(ousted := turns.to_ask.copy())
        for task in ousted:
            turns.to_ask.pop(task, None)
        for task in turns.to_start.copy():
            task._launch_or_give_up()
            turns.to_start.pop(task, None)

    def _let_in(self, task: Task[Any]) -> None:
        """Somebody is about to wait for this one: it must not stay in line for one of ours."""
        turns = self._turns
        turn = turns.tasks.get(task)
        if turns.limit is None or turn is None or not turn.is_to_come:
            return
        waiter = innermost()
        # A child that waits keeps its parent from ending, too.
        if not any(map(turns.has_started, (waiter, *waiter._ancestors()))):
            return
        journal.debug(
            "%s waits for %s: it starts in spite of the limit of %d",
            *(waiter.path, task.path, self.limit),
            worker=waiter.path,
        )
        turns.want(turn)
        self._settle()

    def _take_error(self, failure: Failure) -> None:
        """One has failed; on its thread, before anyone who waits for it is told."""
        if self._on_error is not None:
            self._on_error(failure.look())
            return
        if (block := self._block) is not None:
            block.failures.append(failure)
            self.cancel_all()

    def map(
        self, function: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None
    ) -> Iterator[T]:
        """Run ``function`` for each, as the builtin; gives the results in order, as they come.

        All begin now. An error is raised where its result would come; TimeoutError when that is
        not there ``timeout`` seconds after the call. An error does not go to ``on_error``.
        """
        deadline = deadline_after(timeout)
        tasks = [
            self.run(function, *args, exit_on_error=False) for args in zip(*iterables, strict=False)
        ]
        return (gathering.result_by(task, deadline) for task in tasks)


def _policy(exclusive: Any) -> Policy | None:
    if exclusive is False or exclusive is None:
        return None
    if exclusive is True:
        return "replace"
    if exclusive not in _POLICIES:
        choices = ", ".join(map(repr, _POLICIES))
        raise ValueError(f"exclusive must be True, False or one of {choices}, not {exclusive!r}")
    return exclusive  # type: ignore[no-any-return]
