"""Task: a piece of work whose state can be watched, with progress, a deadline, and cancellation.

It runs in a thread of its own, with the event loop of a worker, or as a guest on the asyncio loop
of whoever starts it. It runs once.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, overload

from .cancelled_event import CancelledEvent
from .circles import FOR_THE_LOOP
from .errors import INTERRUPTS, WorkerError, WorkerExit, WorkerFailed
from .jobs import Job, T_co
from .loops import running_loop
from .messages import Host
from .node import tree
from .origins import origin
from .outcomes import Cancelled, Dropped, Failure, Outcome, WorkerState
from .parking import FOREVER, deadline_after, seconds
from .pool import active_worker, current
from .run import Run
from .runner import Runner
from .signals import NEVER, Signal
from .timers import Timer
from .tracked import Tracked
from .works import Work

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import TypeVar, Unpack

    from .managers import WorkerManager

    T = TypeVar("T")

__all__ = ["Options", "Task", "innermost", "parent_of"]


class Options(TypedDict, total=False):
    """The keywords of a Task."""

    node: Host | Job[Any] | None
    parent: Job[Any] | bool | None
    name: str
    group: str
    description: str
    exit_on_error: bool
    thread: bool | None
    timeout: float | None
    total_steps: int | None
    sum_children: bool


class Task(Tracked[T_co]):
    """A piece of work with a state, progress, a group, and an orderly end by ``cancel()``.

    ``work`` is a function without arguments, a coroutine function, a coroutine or another
    awaitable; or None in a subclass that has a ``run`` of its own. With ``thread=True`` it runs in
    a thread, with a worker's event loop, so ``sleep``, events and ``later`` work in it; a coroutine
    gets its own asyncio loop there. With ``thread=False`` it runs on the asyncio loop of whoever
    starts it. None: what is asynchronous on that loop, if there is one; all else in a thread. Of a
    generator, each ``yield`` is a report of progress, and a point where pause and cancel act: a
    whole number says how many steps are completed, a pair of them also of how many; anything else
    is one step more.

    ``node`` is told of each change: anything with a ``post_message(message)`` that any thread may
    call, or a worker, which gets events STATE_CHANGED and PROGRESS_CHANGED with the message as
    their data. ``parent`` is who asks it to end, and waits for it: by default the node if that is
    a worker, else the task or worker whose code makes it, in the main thread :data:`MainThread`.
    False: none. ``timeout`` is how many seconds it may run; then it is cancelled, with a
    TimeoutError as its error. With ``exit_on_error`` an error goes to the manager's ``on_error``,
    or into the log. With ``sum_children``, its progress is that of its children, too.

    ``name`` is by default that of the function; ``group`` and ``description`` are for managers and
    people. Raises TypeError for arguments of a wrong type. (From Textual.)

    >>> from threadtree import Task
    >>> Task(lambda: 6 * 7).start().get()
    42
    """

    @overload
    def __init__(
        self: Task[T], work: Callable[[], Coroutine[Any, Any, T]], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(
        self: Task[T], work: Callable[[], Generator[Any, Any, T]], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(
        self: Task[None], work: Callable[[], AsyncGenerator[Any, Any]], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: Task[T], work: Awaitable[T], **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(
        self: Task[T], work: Generator[Any, Any, T], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: Task[T], work: Callable[[], T], **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self, work: None = None, **options: Unpack[Options]) -> None: ...
    def __init__(
        self,
        work: Any = None,
        *,
        node: Host | Job[Any] | None = None,
        parent: Job[Any] | bool | None = None,
        name: str = "",
        group: str = "default",
        description: str = "",
        exit_on_error: bool = False,
        thread: bool | None = None,
        timeout: float | None = None,
        total_steps: int | None = None,
        sum_children: bool = False,
    ) -> None:
        for what, text in (("name", name), ("group", group), ("description", description)):
            if not isinstance(text, str):
                raise TypeError(f"the {what} of a task must be a string, not {text!r}")
        if thread not in (True, False, None):
            raise TypeError(f"thread must be True, False or None, not {thread!r}")
        has_own_run = type(self).run is not Task.run
        self._given = Work(self.run if work is None and has_own_run else work)
        self._code = Work(self.run) if has_own_run else self._given
        self._timeout = seconds(timeout)
        super().__init__(
            name or self._given.name, parent_of(parent, node), node, total_steps, sum_children
        )
        self.group = group
        self.description = description
        self.exit_on_error = exit_on_error
        self.daemon = False
        self.print_traceback = exit_on_error
        self._thread = thread
        self._alarm: Timer | None = None  # of the timeout
        self._late: TimeoutError | None = None  # written by the timer's thread before it asks
        self._manager: WorkerManager | None = None
        self._replaced = False  # by the manager, before it asks
        # Where, and in which context, it is to run: written by who starts it, before it may.
        self._place: tuple[Context, AbstractEventLoop | None] | None = None
        self._origin = origin()

    async def run(self) -> T_co:
        """Do the work. A subclass may do its own, in a function of any kind. (From Textual.)"""
        begun = self._given.begin()
        return await begun if inspect.isawaitable(begun) else begun  # type: ignore[no-any-return]

    # -- its state -------------------------------------------------------------------------------

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end. Its code may still be running. (From Textual.)"""
        return bool(self.please_stop)

    @property
    def is_running(self) -> bool:  # type: ignore[override]  # a method of other jobs
        """Whether its code is running. (From Textual.)"""
        return self._life.active

    @property
    def is_finished(self) -> bool:
        """Whether it has ended: SUCCESS, ERROR or CANCELLED. (From Textual.)"""
        return self._life.ended

    @property
    def is_replaced(self) -> bool:
        """Whether another stands in its place. What it returned after that was dropped."""
        return self._replaced

    @property
    def cancelled_event(self) -> threading.Event:
        """An event that is set when it is cancelled. (From Textual.)

        Waiting for it handles no events and is not ended by the cancellation of the waiter;
        ``please_stop`` is the signal of the same.
        """
        return CancelledEvent(self)

    def __repr__(self) -> str:
        details = "".join(f", {text!r}" for text in (self.description,) if text)
        return f"<{type(self).__name__} {self.path}: {self.state.name}{details}>"

    # -- its life ----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Run it. Returns self. Does nothing when it was started or cancelled before, or waits for
        its turn in a manager.

        Context variables of the caller are copied. Raises the interpreter's RuntimeError when
        there are no more threads, and can be started later then; WorkerError when the parent has
        ended, the program is shutting down, or with ``thread=False`` no asyncio loop is running
        here. Any thread.
        """
        if self._manager is None:
            self._be_placed()
            self._launch()
        elif self._place is None:
            self._be_placed()
            self._manager._admit(self)
        return self

    def _be_placed(self) -> None:
        """Note where it is to run: here and now, although it may begin later."""
        loop = running_loop()
        if self._thread is False and loop is None:
            raise WorkerError(
                f"{self.path} is to run on an asyncio loop, as thread=False says; "
                "start it where one is running"
            )
        is_guest = loop is not None and (
            self._thread is False or (self._thread is None and self._code.is_async)
        )
        here = current()
        with tree.lock:  # of two starts, one is first; a cancel comes before this, or after
            if self._place is None:
                if is_guest and self._life.outcome is None:
                    # It gets nowhere, from now on, while the thread of the loop waits by itself.
                    # Not by enter(), whose lock stands above this one: as it waits for nobody else,
                    # and nobody for it, there is no circle yet.
                    self._life.waits_for[self] = (here, FOR_THE_LOOP)
                self._place = (copy_context(), loop if is_guest else None)

    def _launch(self) -> None:
        """Begin; or have it begun in its place, if this is another. Any thread."""
        assert self._place is not None
        context, loop = self._place
        if loop is None:
            Runner._start(self, (), {}, context)
        elif running_loop() is loop:
            self._start_as_guest(context)
        else:
            loop.call_soon_threadsafe(self._launch_or_give_up)

    def _launch_or_give_up(self) -> None:
        """Begin, or be cancelled, with the reason as its error: nobody is there to be told."""
        try:
            self._launch()
        except INTERRUPTS:
            raise
        except BaseException as error:
            self._give_up(error)
            if not isinstance(error, WorkerError):  # an end of the parent is no news
                self._log_error("Task %s could not begin", error)

    def _start_as_guest(self, context: Context) -> None:
        from .steering import Guest  # with asyncio, which runs already

        guest: Guest | None = None
        try:
            if self._begin(threading.current_thread(), None):
                guest = Guest(self, self._life, context)
                guest.begin(self._work_as_guest)
        except BaseException:
            if self._life.active and (guest is None or not guest.lives):
                self._withdraw()  # Ctrl-C came before the run began
            raise

    def _may_begin(self, life: Run) -> bool:
        # Of this and a cancel before the start, one is first.
        return life.state is WorkerState.PENDING and life.outcome is None

    def _where_from(self) -> tuple[str, int]:
        return self._origin

    def _withdraw(self) -> None:
        was_asked = bool(self.please_stop)
        super()._withdraw()
        if was_asked:
            self._ask()

    def cancel(self) -> Self:
        """Ask it to end. Returns self at once; any thread, signal handler or finalizer.

        ``please_stop`` goes. Every wait of this library in its code raises WorkerExit; a coroutine
        gets its CancelledError. It has ended when :attr:`is_finished` says so: CANCELLED if it was
        cut short, SUCCESS if it has returned a result all the same. Before its start, it is
        CANCELLED at once and never runs. (From Textual.)
        """
        return self.stop()

    def _request_stop(self, now: bool) -> None:
        run = self._life
        if run.state is WorkerState.PENDING and self._give_up():
            return
        super()._request_stop(now)

    def _give_up(self, why: BaseException | None = None) -> bool:
        """Be cancelled, if it has not begun: it never will. Whether so."""
        verdict = Cancelled(self.path, why)

        def decide(task: Self, run: Run) -> None:
            with tree.lock:
                if run.state is WorkerState.PENDING and run.outcome is None:
                    run.asked_at = monotonic()
                    run.waits_for.pop(self, None)  # the loop; its manager sees to the others
                    run.exit_raised = True  # until it does, who is behind this one waits for them
                    run.outcome = verdict  # from here on, no start begins it
            if run.outcome is not verdict:
                del steps[:-1]  # the following ones, in reverse; those are for who was first

        # As one row of steps, none of which Ctrl-C can keep from being taken.
        steps = [decide, Task._discard, Tracked._close_reports, Runner._close_mailbox]
        steps += Task._last_steps
        self._go_through(steps)
        return self._life.outcome is verdict

    def _discard(self, run: Run) -> None:
        """It was cancelled before it began. A step of the end."""
        run.please_stop.go()
        self._given.discard()

    def _heed(self) -> None:
        if self._life.state is WorkerState.PENDING and self._life.asked_at == FOREVER:
            self._ask()
        super()._heed()

    def _belong_to(self, manager: WorkerManager, reports: bool) -> None:
        """Be run by a manager, which sees to errors, or leaves them to the log."""
        self._manager = manager
        self.print_traceback = self.exit_on_error and reports

    # -- waiting for its end -----------------------------------------------------------------------

    def _started_run(self) -> Run:
        if self._manager is not None:
            self._manager._let_in(self)
        return super()._started_run()

    def _outcome_by(self, deadline: float, till: Signal = NEVER) -> Outcome | None:
        if self._manager is not None:
            self._manager._let_in(self)
        return super()._outcome_by(deadline, till)

    def _join(self, deadline: float) -> None:
        if self._manager is not None:
            self._manager._let_in(self)
        super()._join(deadline)

    def _will_end(self, run: Run) -> bool:
        # In a manager, one that is placed begins in its turn, or is given up.
        waits_its_turn = self._manager is not None and self._place is not None
        return waits_its_turn or super()._will_end(run)

    def join(self, timeout: float | None = None) -> Self:
        """Wait for the end, without handling events. As :meth:`Worker.join`."""
        self._join(deadline_after(timeout))
        return self

    @overload
    def wait(self) -> Coroutine[Any, Any, T_co]: ...
    @overload
    def wait(self, param: Any, *args: Any, **kwargs: Any) -> Any: ...
    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the end, in asyncio: ``await task.wait()`` gives the result.

        Raises WorkerFailed from the error if it has failed, WorkerCancelled if it was cut short,
        WorkerError if it was never started, DeadlockError for a task that waits for itself, or in
        a circle. Cancelling the wait does not cancel the task. (From Textual.) With an argument, it
        is what ``wait(x)`` is in any worker's own thread.
        """
        return super().wait(*args, **kwargs) if args else self._wait()

    async def _wait(self) -> T_co:
        outcome = await self._outcome_in_asyncio(self._started_run())
        if isinstance(outcome, Failure):
            error = outcome.look()
            raise WorkerFailed(error) from error
        return outcome.get()  # type: ignore[no-any-return]

    # -- the run; on its thread --------------------------------------------------------------------

    def _set_off(self, run: Run) -> None:
        super()._set_off(run)
        if self._timeout != FOREVER:
            self._alarm = Timer(deadline_after(self._timeout), self._run_out)

    def _run_out(self) -> None:
        """The time is over."""
        life = self._life
        if life.active and life.asked_at == FOREVER:
            self._late = TimeoutError(f"{self.path} has run for more than {self._timeout:g} s")
            self._ask()

    def _work(self) -> Any:
        return self._code.do(self)

    async def _work_as_guest(self) -> Any:
        if self.please_stop:  # before its first step: so it never takes one
            self._given.discard()
            raise WorkerExit
        return await self._code.do_as_guest(self)

    def _verdict_on(self, run: Run, error: BaseException) -> Outcome:
        verdict = super()._verdict_on(run, error)
        if isinstance(verdict, Cancelled) and self._late is not None:
            return Cancelled(self.path, self._late)
        return verdict

    def _announce(self, run: Run) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._replaced and run.verdict is not None and run.verdict.state is WorkerState.SUCCESS:
            run.verdict = Dropped(self.path)
        super()._announce(run)
        if isinstance(run.outcome, Failure):
            self._hand_over(run.outcome)

    def _hand_over(self, failure: Failure) -> None:
        """Give an error to who is to see to it; it is in the log already, if nobody is."""
        if self._manager is not None and self.exit_on_error:
            try:
                self._manager._take_error(failure)
            except Exception as error:
                self._log_error("The on_error of task %s raised", error)

    def _leave(self, run: Run) -> None:
        """Leave the manager: it is told by ``stopped``, too, but Ctrl-C might come in there."""
        if self._manager is not None:
            self._manager._leave(self)

    _last_steps: ClassVar[tuple[Callable[[Any, Run], None], ...]] = (
        Runner._vanish,
        Tracked._tell_state,
        Runner._let_go,
        _leave,
    )
    _steps_of_the_end: ClassVar[tuple[Callable[[Any, Run], None], ...]] = (
        Runner._end_children,
        Runner._handle_leftovers,
        Tracked._close_reports,
        _announce,
        Runner._close_mailbox,
        *_last_steps,
    )


def innermost() -> Job[Any]:
    """The task, worker or thread whose code runs here; else the worker of this thread."""
    worker = active_worker.get(None)
    return worker if isinstance(worker, Job) and worker._life.active else current()


def parent_of(parent: Job[Any] | bool | None, node: Host | Job[Any] | None) -> Job[Any] | None:
    """Who is the parent of a task, given this parent and this node."""
    if parent is None or parent is True:
        return node if isinstance(node, Job) else innermost()
    if parent is not False and not isinstance(parent, Job):
        raise TypeError(
            f"a parent must be a worker, thread or task, False for none, or None, not {parent!r}"
        )
    return None if parent is False else parent
