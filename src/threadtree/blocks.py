"""Block: what a ``with`` block of a manager remembers until its end."""

from __future__ import annotations

from typing import Any

from .outcomes import Failure
from .tasks import Task

__all__ = ["Block"]


class Block:
    """The tasks of one ``with`` block, and what has failed in it. Under the manager's lock."""

    def __init__(self) -> None:
        self.tasks: list[Task[Any]] = []
        self.failures: list[Failure] = []

    def conclude(self, error: BaseException | None) -> None:
        """All tasks have ended, and this error has left the block: raise what has failed."""
        if not self.failures or not isinstance(error, Exception | None):
            return  # Ctrl-C and the like go first, by themselves; ours are in the log
        errors = [failure.look() for failure in self.failures]
        if error is not None and all(error is not other for other in errors):
            errors.insert(0, error)
        message = f"{len(errors)} errors in a block of tasks"
        raise BaseExceptionGroup(message, errors) from None
