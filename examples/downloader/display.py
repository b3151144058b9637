"""What the user sees while it goes on: a worker that hears the channel of progress."""

from __future__ import annotations

import os
import sys

from threadtree import Event, listen, wait_forever

__all__ = ["Display", "Lines", "amount", "display_for_terminal", "say"]


class Display:
    """Draws what happens to the files, one method for each event. :meth:`run` is the task."""

    def __init__(self, jobs: int, hint: str = "") -> None:
        self.jobs = jobs
        self.hint = hint
        self.done = 0
        self.bytes = 0

    def run(self) -> None:
        """Draw until a stop, which comes behind all that was published before."""
        for name in ("BEGUN", "BYTES", "FETCHED", "RETRY", "GIVEN_UP", "PAUSED", "RESUMED"):
            listen(getattr(self, f"on_{name.lower()}"), name)
        wait_forever()

    def on_begun(self, event: Event) -> None:
        """A download worker has begun with a file; the data is the job, and the size if known."""

    def on_bytes(self, event: Event) -> None:
        """A download worker has received so many bytes."""

    def on_fetched(self, event: Event) -> None:
        """A file is there, and was verified; the data is the job and the size."""
        self.done += 1
        self.bytes += event.data[1]

    def on_retry(self, event: Event) -> None:
        """An attempt failed; the data is the job, why, and the seconds until the next one."""
        job, reason, pause = event.data
        self.write(f"{job.url}: {reason}; again in {pause:g} s")

    def on_given_up(self, event: Event) -> None:
        """A file was given up; the data is the job, and why."""
        job, reason = event.data
        self.done += 1
        self.write(f"{job.url}: {reason}; given up")

    def on_paused(self, event: Event) -> None:
        """The downloads rest."""
        self.write("paused")

    def on_resumed(self, event: Event) -> None:
        """They go on."""
        self.write("resumed")

    def write(self, line: str) -> None:
        """Show a line of text."""
        say(line)


class Lines(Display):
    """Plain lines, some ten until the end: for a pipe, a log file, a terminal without rich."""

    def run(self) -> None:
        if self.hint:
            say(self.hint)
        super().run()

    def on_fetched(self, event: Event) -> None:
        tenths = 10 * self.done // self.jobs
        super().on_fetched(event)
        if 10 * self.done // self.jobs > tenths:
            say(f"{self.done} of {self.jobs} files, {amount(self.bytes)}")


def display_for_terminal(jobs: int, hint: str) -> Display:
    """Bars on a terminal if rich is installed, else lines."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .bars import Bars
        except ImportError:
            pass  # no rich; it does without
        else:
            return Bars(jobs, hint)
    return Lines(jobs, hint)


def say(line: str) -> None:
    """Print a line at once. When nobody reads it any more, the downloads still go on."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def amount(size: float) -> str:
    """A number of bytes, for people."""
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"
