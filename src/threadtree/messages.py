"""What a task tells its node: that its state has changed, or how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from .events import Event
from .jobs import Job
from .outcomes import WorkerState

__all__ = ["PROGRESS_CHANGED", "STATE_CHANGED", "Host", "ProgressChanged", "StateChanged", "tell"]

# The names of the events that a node gets which is itself a worker.
STATE_CHANGED: Final = "STATE_CHANGED"
PROGRESS_CHANGED: Final = "PROGRESS_CHANGED"


class StateChanged(NamedTuple):
    """``worker``, a task, has come to this ``state``. (From Textual.)"""

    worker: Any
    state: WorkerState


class ProgressChanged(NamedTuple):
    """``worker``, a task, has completed so many steps of ``total_steps``; None: nobody knows."""

    worker: Any
    completed_steps: int
    total_steps: int | None


class Host(Protocol):
    """What can be a task's node: anything with a ``post_message`` that any thread may call."""

    def post_message(self, message: Any, /) -> object: ...


def tell(node: Host | Job[Any], message: Any, name: str, task: Job[Any], told: list[Any]) -> None:
    """Give the node a message of the task, and note it in ``told``; to a worker, it is an event.

    Noting it and entering ``post_message`` is one step in C, which Ctrl-C cannot divide: what was
    noted was told. An error in ``post_message`` is logged, and no concern of the task's.
    """
    if isinstance(node, Job):
        enter: Callable[[Any], object] = node._post
        given: Any = Event(name, message, target=task)
    else:
        enter, given = node.post_message, message
    try:
        next(zip(map(told.append, (message,)), map(enter, (given,)), strict=True))
    except Exception as error:
        task._log_error("The node of task %s could not take its message: %r", error, message)
