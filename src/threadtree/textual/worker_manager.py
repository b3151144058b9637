"""WorkerManager: the workers of a Textual app. Exclusive ones start when the old have ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import rich.repr

from ..errors import WorkerCancelled
from ..managers import WorkerManager as _WorkerManager
from ..tasks import Task
from ..turns import Policy
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

        With ``exclusive``, the workers of its node and group are cancelled now, and it starts when
        they have ended. One that was added before can only be started. On the thread of the app.
        (From Textual.)
        """
        if worker._manager is self:
            if start:
                worker.start()
            return
        worker._app = self._app
        policy: Policy | None = "replace" if exclusive and worker.group else None
        self._take_in(lambda: worker, (worker.node, worker.group), policy, start)

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
        for worker in self:
            worker.start()

    def cancel_group(  # type: ignore[override]  # the node comes first here
        self, node: DOMNode, group: str
    ) -> list[Worker[Any]]:
        """Cancel the workers of a node and group, and give them. (From Textual.)"""
        workers: list[Any] = self._turns.of_group((node, group))
        self._cancel(workers)
        return workers

    async def wait_for_complete(self, workers: Iterable[Task[Any]] | None = None) -> None:
        """Wait for these workers, or for all that have not ended.

        Raises, as soon as one does not end well, what its ``wait()`` raises. But of all, one that
        was cancelled before is no error: its code may still be running, while Textual's own
        manager would know it no longer. (From Textual.)
        """
        if workers:
            waits = [worker.wait() for worker in workers]
        else:
            waits = [_calmly(worker) if worker.is_cancelled else worker.wait() for worker in self]
        await asyncio.gather(*waits)


async def _calmly(worker: Task[Any]) -> None:
    with suppress(WorkerCancelled):
        await worker.wait()
