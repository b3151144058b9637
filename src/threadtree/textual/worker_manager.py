"""WorkerManager: the workers of a Textual app. Exclusive ones start when the old have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import rich.repr

from ..managers import WorkerManager as _WorkerManager
from .worker import Worker

if TYPE_CHECKING:
    from textual.app import App
    from textual.dom import DOMNode

__all__ = ["WorkerManager"]


@rich.repr.auto(angular=True)
class WorkerManager(_WorkerManager):
    """The workers of an app that have not ended; ``app.workers``, where it is Textual's own.

    Of more than ``limit`` workers, the others wait for their turn. (From Textual.)
    """

    def __init__(self, app: App[Any], *, limit: int | None = None) -> None:
        super().__init__(parent=False, limit=limit)
        self._app = app

    def __rich_repr__(self) -> rich.repr.Result:
        counter = Counter(worker.state.name for worker in self)
        yield from sorted(counter.items())

    def __bool__(self) -> bool:
        return len(self) > 0

    def add_worker(self, worker: Worker[Any], start: bool = True, exclusive: bool = True) -> None:
        """Add a worker, and start it, if it is not to be started later, by ``start_all()``.

        With ``exclusive``, the workers of its node and group are cancelled, and it starts when they
        have ended. On the thread of the app. (From Textual.)
        """
        worker._app = self._app
        if not start:
            self._expect(worker)
            return

        def is_rival(other: Any) -> bool:
            return other is not worker and (other.node, other.group) == (worker.node, worker.group)

        is_exclusive = exclusive and worker.group
        self._take_in(lambda: worker, is_rival, "replace" if is_exclusive else None)

    def _new_worker(
        self,
        work: Callable[[], Any] | Awaitable[Any],
        node: DOMNode,
        *,
        name: str | None = "",
        group: str = "default",
        description: str = "",
        exit_on_error: bool = True,
        start: bool = True,
        exclusive: bool = False,
        thread: bool = False,
    ) -> Worker[Any]:
        """Make a worker and add it. What ``run_worker`` of a widget calls."""
        worker: Worker[Any] = Worker(
            node,
            work,
            name=name or getattr(work, "__name__", "") or "",
            group=group,
            description=description or repr(work),
            exit_on_error=exit_on_error,
            thread=thread,
        )
        self.add_worker(worker, start=start, exclusive=exclusive)
        return worker

    def start_all(self) -> None:
        """Start those that were added with ``start=False``. On the thread of the app."""
        for worker in self._expected():
            worker._be_placed()
            self._admit(worker)

    def cancel_group(  # type: ignore[override]  # the node comes first here
        self, node: DOMNode, group: str
    ) -> list[Worker[Any]]:
        """Cancel the workers of a node and group, and give them. (From Textual.)"""
        workers: list[Any] = [w for w in self if w.group == group and w.node == node]
        self._cancel(workers)
        return workers

    async def wait_for_complete(self, workers: Any = None) -> None:
        """Wait for these workers, or for all. WorkerFailed for one that has failed; one that was
        cancelled is no error. (From Textual.)"""
        from asyncio import gather

        from ..errors import WorkerCancelled

        waits = (worker.wait() for worker in (workers or list(self)))
        for outcome in await gather(*waits, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, WorkerCancelled):
                raise outcome
