"""The tree of threads that follows files, and ships their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_
from pathlib import Path

from threadtree import QueueClosed, Signal, Thread, ThreadedQueue, Till, join_all_threads

from .follow import Follower, Line
from .journal import Journal
from .ship import Shipper

__all__ = ["Forwarder", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What to do, and how."""

    files: list[Path]
    to: str
    """The URL of the sink."""
    state: Path
    """The file of the journal."""
    batch: int = 500
    """The most lines in a batch."""
    period: float = 1.0
    """Seconds after which a batch is sent that is not full."""
    interval: float = 0.2
    """Seconds between two looks at a file."""
    linger: float = 10.0
    """Seconds for which a renamed file must be quiet before it is given up."""
    timeout: float = 2.0
    """Seconds for which the sink may be silent."""


class Forwarder:
    """Follows files and ships their lines. :meth:`run` is what a Thread calls.

    Making one reads the journal; the errors of that are the errors of this.
    """

    def __init__(self, settings: Settings, say: Callable[[str], object]) -> None:
        self._settings = settings
        self._say = say
        self._journal = Journal(settings.state)
        self.shipper = Shipper(settings.to, self._journal, settings.timeout, say)

    def run(self, please_stop: Signal) -> None:
        """Follow the files until asked to end; then ship what is there, and return.

        Raises what went wrong, if something did: in a follower a group of errors.
        """
        self.shipper.finish_last_run()
        followers = [
            Follower(path, self._settings.linger, self._journal.shipped(path))
            for path in self._settings.files
        ]
        self._follow_all(followers, please_stop)
        # Our children have ended, so the files and the shipper are ours alone. Not so when this
        # was left by an exception: then the files are closed with the followers.
        self._take_a_last_look(followers)
        for follower in followers:
            follower.close()

    def _follow_all(self, followers: list[Follower], please_stop: Signal) -> None:
        settings, shipper = self._settings, self.shipper
        lines: ThreadedQueue[Line] = ThreadedQueue(
            "lines",
            shipper,
            batch_size=settings.batch,
            period=settings.period,
            silent=True,  # while the sink does not take them, followers wait: no news
            error_target=lambda error, batch: None,  # the shipper keeps it, and tells by a signal
        )
        threads = [
            Thread.run(f"follow {follower.path.name}", self._follow, follower, lines)
            for follower in followers
        ]
        # A follower that ends by itself does so by an error.
        reduce(or_, (thread.stopped for thread in threads), please_stop | shipper.failed).wait()
        self._say("ending: shipping what is left")
        for thread in threads:
            thread.stop()
        lines.close()
        join_all_threads(threads)
        lines.stop()
        if shipper.error is not None:
            raise shipper.error

    def _follow(self, follower: Follower, lines: ThreadedQueue[Line], please_stop: Signal) -> None:
        while not please_stop:
            try:
                for line in follower.look():
                    lines.add(line)  # waits while the sink is slow
            except QueueClosed:
                # The word to end has come to all of us at the same time, and the queue was faster.
                # What it did not take counts as not read, and comes again in the last look.
                return
            # There is no way to hear of a change of a file on all systems, so we look from time
            # to time. To end, nobody has to wait for that.
            (please_stop | Till(seconds=self._settings.interval)).wait()

    def _take_a_last_look(self, followers: list[Follower]) -> None:
        lines: Iterator[Line] = (line for each in followers for line in each.look(is_last=True))
        while batch := list(islice(lines, self._settings.batch)):
            self.shipper.extend(batch)
