"""The manager, which hands out the jobs, and the tasks below it, which do them, one for a file."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from http.client import InvalidURL
from typing import Any
from urllib.error import HTTPError, URLError

from threadtree import (
    Channel,
    Event,
    WorkerManager,
    current,
    get_current_worker,
    later,
    listen,
    wait_forever,
    wait_until,
)
from threadtree import (
    Job as Node,
)

from ..console import printable
from .fetch import fetch
from .sources import Job

__all__ = ["Manager", "Report"]

LONGEST_PAUSE = 60.0  # seconds before another attempt


@dataclass
class Report:
    """What has become of the jobs so far. Only the manager writes it, when it has begun."""

    jobs: int = 0
    fetched: dict[Job, int] = field(default_factory=dict)
    """Those that are there, verified, and their sizes."""
    failed: dict[Job, str] = field(default_factory=dict)
    """Those that were given up, and why."""
    unreadable: list[OSError] = field(default_factory=list)
    """Why there is no job for some of what we should serve."""

    @property
    def complete(self) -> bool:
        """Whether no job is open."""
        return len(self.fetched) + len(self.failed) == self.jobs


class Manager:
    """Has each job done by a task of its own, so many at a time. :meth:`run` is its own task.

    It hears FETCHED and FAILED from them, and ENDED of them, PAUSE and RESUME from anyone. What
    becomes of the files is published on ``progress``, for whoever wants to show it.
    """

    def __init__(
        self,
        jobs: list[Job],
        report: Report,
        progress: Channel,
        *,
        workers: int,
        timeout: float,
        retries: int,
        backoff: float,
    ) -> None:
        report.jobs = len(jobs)
        self.report = report
        self._open = deque(jobs)
        self._attempts: Counter[Job] = Counter()
        self._progress = progress
        self._at_a_time = workers
        self._is_paused = False
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff

    def run(self) -> None:
        """Have all jobs done. The end of this ends the downloads, however it comes."""
        for name in ("ENDED", "FETCHED", "FAILED", "PAUSE", "RESUME"):
            listen(getattr(self, f"_on_{name.lower()}"), name)
        current().total_steps = self.report.jobs
        self._downloads = WorkerManager()  # whose tasks are our children
        try:
            self._hand_out()
            if not self.report.complete:
                wait_until(lambda event: self.report.complete)
        finally:
            self._at_a_time = 0  # we still hear of the downloads that end now

    # -- in the threads of the downloads ---------------------------------------------------------

    def _download(self, manager: Node[Any], job: Job) -> None:
        """Do a job, and tell how it went."""
        me = get_current_worker()
        try:
            size = fetch(
                job,
                self._timeout,
                on_begin=lambda size: me.update(total_steps=size),
                on_bytes=me.advance,
            )
        except Exception as error:
            if me.please_stop:
                wait_forever()  # it was the stop that cut the connection: here it takes effect
            manager.fire("FAILED", (job, error))
        else:
            manager.fire("FETCHED", (job, size))

    # -- in the manager's thread -------------------------------------------------------------

    def _hand_out(self) -> None:
        """Begin as many as may be. Not with the limit of the tasks' own manager: what rests in its
        line would begin in a pause."""
        manager = current()
        while self._open and not self._is_paused and len(self._downloads) < self._at_a_time:
            job = self._open.popleft()
            name = printable(job.path.name)
            try:
                task = self._downloads.run(self._download, manager, job, name=name)
            except RuntimeError as error:  # there are no more threads
                if len(self._downloads):  # until one of these ends
                    self._open.appendleft(job)
                    return
                self._give_up(job, str(error))
            else:
                task.stopped.then(partial(manager.fire, "ENDED"))

    def _on_ended(self, event: Event) -> None:
        """A download has ended, and made room."""
        self._hand_out()

    def _on_fetched(self, event: Event) -> None:
        """A file is there."""
        job, size = event.data
        current().advance()
        self.report.fetched[job] = size
        self._progress.pub("FETCHED", (job, size))

    def _on_failed(self, event: Event) -> None:
        """An attempt has failed: try again after a pause, which doubles each time, or give up."""
        job, error = event.data
        self._attempts[job] += 1
        attempts = self._attempts[job]
        if attempts <= self._retries and _may_pass(error):
            pause = min(self._backoff * 2 ** (attempts - 1), LONGEST_PAUSE)
            self._progress.pub("RETRY", (job, _reason(error), pause))
            later(self._try_again, job, timeout=pause)
        else:
            times = "once" if attempts == 1 else f"{attempts} times"
            self._give_up(job, f"{_reason(error)}; tried {times}")

    def _give_up(self, job: Job, reason: str) -> None:
        current().advance()
        self.report.failed[job] = reason
        self._progress.pub("GIVEN_UP", (job, reason))

    def _try_again(self, job: Job) -> None:
        self._open.append(job)
        self._hand_out()

    def _on_pause(self, event: Event) -> None:
        """Have the downloads rest: each at the end of the piece that it is receiving."""
        self._is_paused = True
        for task in self._downloads:
            task.pause()
        self._progress.pub("PAUSED")

    def _on_resume(self, event: Event) -> None:
        """Have them go on."""
        self._is_paused = False
        for task in self._downloads:
            task.resume()
        self._hand_out()
        self._progress.pub("RESUMED")


def _may_pass(error: Exception) -> bool:
    """Whether it makes sense to try again: not so when it is the URL, or the server says so."""
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    if isinstance(error, URLError):
        return not isinstance(error.reason, str)  # else it is urllib that refuses
    return not isinstance(error, InvalidURL | ValueError)  # as of a port, or a name


def _reason(error: Exception) -> str:
    """An error in words, on one line, for the user. Some of the words may be the server's."""
    reason = getattr(error, "reason", None)  # of a URLError, what is behind it
    text = str(error) if isinstance(error, HTTPError) else str(reason or error)
    return " ".join(text.split())[:200] or type(error).__name__
