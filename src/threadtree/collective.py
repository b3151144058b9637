"""Collective: tasks that are cancelled, and waited for, together; also to the end of a block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from . import gathering
from .outcomes import Failure
from .parking import FOREVER
from .tasks import Task
from .turns import Turns

__all__ = ["Collective"]


class Block:
    """The tasks of one ``with`` block, and what has failed in it. Both only grow, by appends."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any]] = []
        self.failures: list[Failure] = []

    def conclude(self, error: BaseException | None) -> None:
        """All tasks have ended, and this error has left the block: raise what has failed."""
        if not self.failures or not isinstance(error, Exception | None):
            return  # Ctrl-C and the like go first, by themselves; ours are logged, as not seen
        errors = [failure.look() for failure in self.failures]
        if error is not None and all(error is not other for other in errors):
            errors.insert(0, error)
        message = f"{len(errors)} errors in a block of tasks"
        raise BaseExceptionGroup(message, errors) from None


class Collective:
    """The tasks of a manager that have not ended. The base of WorkerManager; use that."""

    _turns: Turns
    _block: Block | None  # written by who enters and leaves the block

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter(self._turns.tasks.copy())

    def __reversed__(self) -> Iterator[Task[Any]]:
        return iter(list(self)[::-1])

    def __len__(self) -> int:
        return len(self._turns.tasks)

    def __contains__(self, task: object) -> bool:
        return task in self._turns.tasks

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} tasks>"

    def cancel_all(self) -> list[Task[Any]]:
        """Cancel them all. Gives those that were there. Any thread."""
        return self._cancel(list(self))

    def cancel_group(self, group: str) -> list[Task[Any]]:
        """Cancel those of a group. Gives them. Any thread. (From Textual.)"""
        return self._cancel(self._turns.of_group(group))

    def cancel_node(self, node: object) -> list[Task[Any]]:
        """Cancel those of a node. Gives them. Any thread. (From Textual.)"""
        return self._cancel([task for task in self if task.node is node])

    def _cancel(self, tasks: list[Task[Any]]) -> list[Task[Any]]:
        for task in reversed(tasks):  # the newest first: none of them starts when its rival ends
            task.cancel()
        return tasks

    # -- waiting ----------------------------------------------------------------------------------

    def wait_all(self, timeout: float | None = None) -> list[Any]:
        """:func:`threadtree.wait_all` of the block's tasks, or of those that have not ended."""
        return gathering.wait_all(self._those(), timeout)

    def wait_any(self, timeout: float | None = None) -> Any:
        """:func:`threadtree.wait_any` of the same."""
        return gathering.wait_any(self._those(), timeout)

    def as_completed(self, timeout: float | None = None) -> Iterator[Any]:
        """:func:`threadtree.as_completed` of the same."""
        return gathering.as_completed(self._those(), timeout)

    def _those(self) -> list[Task[Any]]:
        block = self._block
        return list(self) if block is None else block.tasks.copy()

    async def wait_for_complete(self, tasks: Iterable[Task[Any]] | None = None) -> None:
        """Wait, in asyncio, for these tasks, by default all that have not ended.

        Raises what ``task.wait()`` raises, of the first that has not ended well. (From Textual.)
        """
        for task in list(self) if tasks is None else list(tasks):
            await task.wait()

    # -- a block ---------------------------------------------------------------------------------

    def _enter(self) -> Self:
        if self._block is not None:
            raise RuntimeError("this manager is in a with block already; make another")
        self._block = Block()
        return self

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self.cancel_all()
            self._wait_until_over()
        except BaseException:  # we were ended ourselves; the tasks end first
            self.cancel_all()
            self._wait_until_over()
            raise
        finally:
            block, self._block = self._block, None
        if block is not None:
            block.conclude(error)

    def _wait_until_over(self) -> None:
        while pending := self._those_that_are_not_over():
            for task in pending:
                task._started_run()  # raises for one that nobody has started, and so never ends
                task._outcome_by(FOREVER)
        self._await_native_ends()

    def _those_that_are_not_over(self) -> list[Task[Any]]:
        """Also one that is finished by its state, and has yet to tell its node."""
        return [task for task in self if not task.stopped]

    def _await_native_ends(self) -> None:
        for task in self._those():
            if task.stopped:  # not so what another thread has just added
                task._life.await_native_end()

    async def __aenter__(self) -> Self:
        return self._enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self.cancel_all()
            await self._until_over()
        except BaseException:
            self.cancel_all()
            await self._until_over()
            raise
        finally:
            block, self._block = self._block, None
        if block is not None:
            block.conclude(error)

    async def _until_over(self) -> None:
        while pending := self._those_that_are_not_over():
            for task in pending:
                await task._outcome_in_asyncio(task._started_run())
        self._await_native_ends()
