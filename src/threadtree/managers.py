"""WorkerManager: tasks that belong together: in groups, one at a time, so many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload

from . import gathering, journal
from .collective import Collective
from .jobs import Job
from .messages import Host
from .node import ask_all
from .outcomes import Failure
from .parking import deadline_after
from .tasks import Task, innermost, parent_of
from .turns import Place, Turns

__all__ = ["Policy", "WorkerManager"]


T = TypeVar("T")
Policy: TypeAlias = Literal["replace", "wait", "skip", "latest"]
_POLICIES: Final = ("replace", "wait", "skip", "latest")


class WorkerManager(Collective):
    """Runs tasks, and knows those that have not ended: iterate over it, or take its ``len()``.

    ``node`` is told of the tasks' states and progress; see :class:`Task`. Of more than ``limit``
    tasks, the others wait for their turn; but one that another of them waits for is let in.
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

        return self._take_in(make, lambda other: other.group == group, policy)

    def _take_in(
        self,
        make: Callable[[], Task[Any]],
        is_rival: Callable[[Task[Any]], bool],
        policy: Policy | None,
        start: bool = True,
    ) -> Task[Any]:
        """Make a task that runs when its turn comes; or give the one that makes it needless.

        Without ``start``, its turn does not come before it is placed and ``_admit_in_turn``.
        """
        turns = self._turns
        with turns.lock:
            those = turns.places if policy else ()
            rivals = [other for other in those if is_rival(other) and not other.is_finished]
            if policy == "skip" and rivals:
                return rivals[0]
            task = make()
            if start:
                task._be_placed()
            task._belong_to(self, reports=self._on_error is None and self._block is None)
            turns.come_in(task, rivals)
            task.stopped._subscribe(partial(self._leave, task))  # at once, if it has ended
            ousted = [old for old in rivals if self._gives_way(old, policy)]
            for old in ousted:
                old._replaced = True
            block = self._block
            if block is not None:
                block.tasks.append(task)
        ask_all(ousted)
        if block is not None and block.failures:
            return task.cancel()
        if start:
            self._admit(task)
        return task

    def _parent_of_tasks(self) -> Job[Any] | None:
        return self._parent

    def _gives_way(self, old: Task[Any], policy: Policy | None) -> bool:
        has_begun = self._turns.places[old] is Place.STARTED
        return policy == "replace" or (policy == "latest" and not has_begun)

    def _admit(self, task: Task[Any]) -> None:
        """It has been placed: its turn may come."""
        with self._turns.lock:
            if not self._turns.has_come(task):
                return
        try:
            task._launch()
        except BaseException as error:
            task._give_up(error)
            raise

    def _leave(self, task: Task[Any]) -> None:
        """It has ended. On the thread that ended it."""
        with self._turns.lock:
            admitted = self._turns.end(task)
        self._launch_all(deque(admitted))

    def _launch_all(self, admitted: deque[Task[Any]]) -> None:
        try:
            while admitted:
                task = admitted.popleft()
                try:
                    task._launch()
                except Exception as error:
                    with self._turns.lock:  # it passes its turn on here: no recursion when it ends
                        admitted.extend(self._turns.pass_on(task))
                    task._give_up_for(error)
        except BaseException:
            self._launch_all(admitted)  # Ctrl-C: the others have their turn all the same
            raise

    def _let_in(self, task: Task[Any]) -> None:
        """Somebody is about to wait for this one. If both are ours, it must not stay in line."""
        waiter = innermost()
        with self._turns.lock:
            if not self._turns.let_in(task, waiter):
                return
        journal.debug(
            "%s waits for %s: one more than the limit of %d runs",
            *(waiter.path, task.path, self.limit),
            worker=waiter.path,
        )
        task._launch_or_give_up()

    def _take_error(self, failure: Failure) -> None:
        """One has failed; on its thread, before anyone who waits for it is told."""
        if self._on_error is not None:
            self._on_error(failure.look())
            return
        with self._turns.lock:
            if self._block is None:
                return
            self._block.failures.append(failure)
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
