"""Worker: a task of a Textual app, whose node gets Textual's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, overload

import rich.repr
from textual import constants
from textual.message import Message

from ..errors import (
    DeadlockError,
    NoActiveWorker,
    WorkerCancelled,
    WorkerError,
    WorkerFailed,
)
from ..jobs import Job, T_co
from ..origins import origin
from ..outcomes import Failure, WorkerState
from ..pool import active_worker, current, get_current_worker
from ..run import Run
from ..runner import Runner
from ..tally import whole
from ..tasks import Task
from ..works import ResultType, WorkType

if TYPE_CHECKING:
    from typing import TypeVar, Unpack

    from textual.app import App
    from textual.dom import DOMNode

    from ..managers import WorkerManager

    T = TypeVar("T")

__all__ = [
    "DeadlockError",
    "NoActiveWorker",
    "ResultType",
    "WorkType",
    "Worker",
    "WorkerCancelled",
    "WorkerError",
    "WorkerFailed",
    "WorkerState",
    "active_worker",
    "get_current_worker",
]


class Options(TypedDict, total=False):
    """The keywords of a Worker."""

    name: str
    group: str
    description: str
    exit_on_error: bool
    thread: bool


@rich.repr.auto(angular=True)
class Worker(Task[T_co]):
    """A :class:`threadtree.Task` as Textual makes them: of a widget, screen or app, its ``node``.

    With ``thread`` it runs in a thread; else ``work`` must be asynchronous, and runs on the app's
    loop. ``exit_on_error``: an error in it exits the app. The node gets Worker.StateChanged for
    each state, the first being PENDING, and Worker.ProgressChanged now and then. (From Textual.)
    """

    @rich.repr.auto
    class StateChanged(Message, bubble=False, namespace="worker"):
        """The ``worker`` has come to this ``state``. (From Textual.)"""

        def __init__(self, worker: Worker[Any], state: WorkerState) -> None:
            self.worker = worker
            self.state = state
            super().__init__()

        def __rich_repr__(self) -> rich.repr.Result:
            yield self.worker
            yield self.state

    @rich.repr.auto
    class ProgressChanged(Message, bubble=False, namespace="worker"):
        """The ``worker`` has completed so many steps of ``total_steps``, or of nobody knows."""

        def __init__(
            self, worker: Worker[Any], completed_steps: int, total_steps: int | None
        ) -> None:
            self.worker = worker
            self.completed_steps = completed_steps
            self.total_steps = total_steps
            super().__init__()

        def __rich_repr__(self) -> rich.repr.Result:
            yield self.worker
            yield self.completed_steps
            yield self.total_steps

    node: DOMNode

    # Textual awaits what can be awaited of what it calls in its thread for another one; so it would
    # wait for the end of a worker that was only to be made. ``await worker.wait()`` it is.
    __await__ = None  # type: ignore[assignment]

    @overload
    def __init__(
        self: Worker[T],
        node: DOMNode,
        work: Callable[[], Coroutine[Any, Any, T]],
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Worker[T],
        node: DOMNode,
        work: Callable[[], Generator[Any, Any, T]],
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Worker[T], node: DOMNode, work: Awaitable[T], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(
        self: Worker[T], node: DOMNode, work: Callable[[], T], **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self, node: DOMNode, work: None = None, **options: Unpack[Options]) -> None: ...
    def __init__(
        self,
        node: DOMNode,
        work: Any = None,
        *,
        name: str = "",
        group: str = "default",
        description: str = "",
        exit_on_error: bool = True,
        thread: bool = False,
    ) -> None:
        super().__init__(
            work,
            node=node,
            parent=_root(),
            name=name,
            group=group,
            description=description if len(description) <= 1000 else description[:1000] + "...",
            exit_on_error=exit_on_error,
            thread=thread,
        )
        self.name = name
        self.print_traceback = False
        self._origin = origin("textual")
        self._app: App[Any] | None = None  # written by who starts it, before it may
        self._created_time = monotonic()
        self._tell_state(self._life)

    def __rich_repr__(self) -> rich.repr.Result:
        yield self.state
        yield "name", self.name, ""
        yield "group", self.group, "default"
        yield "description", self.description, ""
        yield "progress", round(self.progress, 1), 0.0

    def update(self, completed_steps: int | None = None, total_steps: int | None = -1) -> None:
        """Complete so many steps *more*, as Textual means it; set the total, -1 leaves that.

        Without arguments, in the worker's own thread, handle queued events, as in any worker.
        """
        if completed_steps is None and total_steps == -1 and current() is self:
            super().update()
        completed = None if completed_steps is None else whole(completed_steps)
        if total_steps != -1:
            self.total_steps = None if total_steps is None else max(0, total_steps)
        if completed is not None:
            self.advance(completed)

    # -- its life ------------------------------------------------------------------------------

    def _start(  # type: ignore[override]  # Textual's, which its manager calls
        self, app: App[Any], done_callback: Callable[[Worker[Any]], object] | None = None
    ) -> None:
        """Run it; when it has ended, ``done_callback(worker)`` is called on the app's loop."""
        if self._place is not None or self.is_finished:
            return
        if done_callback is not None:
            self._when_ended(done_callback)
        self._app = app
        self.start()

    def _when_ended(self, callback: Callable[[Worker[Any]], object]) -> None:
        """Have ``callback(worker)`` called on the loop that runs here, soon after the end."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(callback, self)
            except RuntimeError:
                pass  # the app has ended before us

        self.stopped._subscribe(tell)

    def _be_placed(self) -> None:
        self._app = self._app or self.node.app
        with self._app._context():  # what runs knows its app, by a context variable
            super()._be_placed()

    async def _work_as_guest(self) -> Any:
        if not self._code.is_async:
            raise WorkerError("Request to run a non-async function as an async worker")
        return await super()._work_as_guest()

    def _belong_to(self, manager: WorkerManager, reports: bool) -> None:
        super()._belong_to(manager, reports=False)  # the app shows the error that it exits with

    def _hand_over(self, failure: Failure) -> None:
        """Not yet: the node is told first, while the app still handles messages."""

    def _set_off(self, run: Run) -> None:
        super()._set_off(run)
        self._note_state(run)

    def _note_state(self, run: Run) -> None:
        """Tell Textual's console, or its log file, if somebody reads them. A step of the end."""
        app = self._app
        if app is None or app._loop is None:
            return
        if not (app._is_devtools_connected or constants.LOG_FILE):
            return
        note = partial(app.log.worker, repr(self))
        if isinstance(run.outcome, Failure):
            note = partial(note, "failed", repr(run.outcome.error))
        try:
            app._loop.call_soon_threadsafe(note)
        except RuntimeError:
            pass  # the app has ended before us

    def _see_to_error(self, run: Run) -> None:
        """Have the app exit with it, if it is to. A step of the end."""
        if not isinstance(run.outcome, Failure):
            return
        if not self.exit_on_error:
            run.outcome.look()  # the node has been told, and need not ask
            return
        assert self._app is not None
        loop = self._app._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._exit_app, run.outcome)
        except RuntimeError:
            pass  # the app has ended before us. As nobody looks at the error, it will be logged

    def _exit_app(self, failure: Failure) -> None:
        """On the loop of the app."""
        app = self._app
        if app is None or not app._running:  # it shows nothing any more
            failure.report_unseen()
            return
        error = failure.look()
        try:
            raise WorkerFailed(error) from error
        except WorkerFailed as failed:  # Textual prints the one that is being handled
            app._handle_exception(failed)

    _steps_of_the_end: ClassVar[tuple[Callable[[Any, Run], None], ...]] = (
        *Task._steps_of_the_end[:-2],
        _note_state,
        _see_to_error,
        Runner._let_go,
        Task._leave,
    )


def _root() -> Job[Any]:
    """The worker of the thread that we are at home in. Textual's workers have no children."""
    top = current()
    for node in top._ancestors():
        top = node
    return top
