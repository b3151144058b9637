"""What the user sees while it goes on: lines from a worker that hears the channel of progress, and
on a terminal the tree of all workers, with a bar for each file."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from threadtree import Event, Job, listen, progress, wait_forever

from ..console import say

__all__ = ["Display", "amount", "picture_of"]


class Display:
    """Says what happens to the files, one method for each event. :meth:`run` is the task."""

    def __init__(self, jobs: int, hint: str = "") -> None:
        self.jobs = jobs
        self.hint = hint
        self.done = 0
        self.bytes = 0

    def run(self) -> None:
        """Go on until a stop, which comes behind all that was published before."""
        for name in ("FETCHED", "RETRY", "GIVEN_UP", "PAUSED", "RESUMED"):
            listen(getattr(self, f"on_{name.lower()}"), name)
        if self.hint:
            say(self.hint)
        wait_forever()

    def on_fetched(self, event: Event) -> None:
        """A file is there, and was verified; the data is the job and the size."""
        tenths = 10 * self.done // self.jobs
        self.done += 1
        self.bytes += event.data[1]
        if 10 * self.done // self.jobs > tenths:
            say(f"{self.done} of {self.jobs} files, {amount(self.bytes)}")

    def on_retry(self, event: Event) -> None:
        """An attempt failed; the data is the job, why, and the seconds until the next one."""
        job, reason, pause = event.data
        say(f"{job.url}: {reason}; again in {pause:g} s")

    def on_given_up(self, event: Event) -> None:
        """A file was given up; the data is the job, and why."""
        job, reason = event.data
        self.done += 1
        say(f"{job.url}: {reason}; given up")

    def on_paused(self, event: Event) -> None:
        """The downloads rest."""
        say("paused")

    def on_resumed(self, event: Event) -> None:
        """They go on."""
        say("resumed")


def picture_of(worker: Job[object]) -> AbstractContextManager[None]:
    """The live tree below a worker, on a terminal, if rich is installed; nothing elsewhere."""
    stdout = sys.stdout  # None, if whoever started us has closed it
    is_terminal = stdout is not None and stdout.isatty() and os.environ.get("TERM") != "dumb"
    if is_terminal and find_spec("rich") is not None:
        return progress.show(nodes=[worker])
    return nullcontext()


def amount(size: float) -> str:
    """A number of bytes, for people."""
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"
