"""The manager, which hands out the jobs, and the download workers below it, which do them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

from threadtree import (
    Channel,
    Event,
    Worker,
    create_worker,
    current,
    later,
    listen,
    wait_event,
    wait_forever,
    wait_until,
)

from .fetch import fetch
from .sources import Job

__all__ = ["Manager", "Report"]

LONGEST_PAUSE = 60.0  # seconds before another attempt


@dataclass
class Report:
    """What has become of the jobs so far. Only the manager writes it."""

    jobs: int = 0
    fetched: dict[Job, int] = field(default_factory=dict)
    """Those that are there, verified, and their sizes."""
    failed: dict[Job, str] = field(default_factory=dict)
    """Those that were given up, and why."""

    @property
    def complete(self) -> bool:
        """Whether no job is open."""
        return len(self.fetched) + len(self.failed) == self.jobs


class Manager:
    """Hands out jobs to download workers, one at a time to each. :meth:`run` is the task.

    It hears READY, FETCHED and FAILED from them, PAUSE and RESUME from anyone. What happens to
    the files is published on ``progress``, for whoever wants to show it.
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
        self._ready: deque[Worker[Any]] = deque()
        self._attempts: Counter[Job] = Counter()
        self._progress = progress
        self._workers = min(workers, len(jobs))
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff

    def run(self) -> None:
        """Have all jobs done. The end of this ends the download workers, however it comes."""
        for name in ("READY", "FETCHED", "FAILED", "PAUSE", "RESUME"):
            listen(getattr(self, f"_on_{name.lower()}"), name)
        for n in range(self._workers):
            create_worker(self._download, current(), name=f"download-{n + 1}")
        if not self.report.complete:
            wait_until(lambda event: self.report.complete)

    # -- in the threads of the download workers --------------------------------------------------

    def _download(self, manager: Worker[Any]) -> None:
        """The task of a download worker: ask for a job, do it, tell how it went; and so on."""
        while True:
            manager.fire("READY")
            job: Job = wait_event("JOB")
            try:
                size = self._attempt(job)
            except Exception as error:
                if current().please_stop:
                    wait_forever()  # it was the stop that cut the connection: here it takes effect
                manager.fire("FAILED", (job, error))
            else:
                manager.fire("FETCHED", (job, size))

    def _attempt(self, job: Job) -> int:
        publish = self._progress.pub
        return fetch(
            job,
            self._timeout,
            on_begin=lambda size: publish("BEGUN", (job, size)),
            on_bytes=lambda count: publish("BYTES", count),
        )

    # -- in the manager's thread -------------------------------------------------------------

    def _on_ready(self, event: Event) -> None:
        """A download worker has nothing to do."""
        self._ready.append(event.target)  # type: ignore[arg-type]
        self._hand_out()

    def _hand_out(self) -> None:
        while self._ready and self._open:
            self._ready.popleft().fire("JOB", self._open.popleft())

    def _on_fetched(self, event: Event) -> None:
        """A file is there."""
        job, size = event.data
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
            self.report.failed[job] = reason = f"{_reason(error)}; tried {times}"
            self._progress.pub("GIVEN_UP", (job, reason))

    def _try_again(self, job: Job) -> None:
        self._open.append(job)
        self._hand_out()

    def _on_pause(self, event: Event) -> None:
        """Have the download workers rest: each at the end of the piece that it is receiving."""
        for worker in current().children:
            worker.pause()
        self._progress.pub("PAUSED")

    def _on_resume(self, event: Event) -> None:
        """Have them go on."""
        for worker in current().children:
            worker.resume()
        self._progress.pub("RESUMED")


def _may_pass(error: Exception) -> bool:
    """Whether it makes sense to try again: not so when the server says that it is our mistake."""
    if not isinstance(error, HTTPError):
        return True
    return error.code >= 500 or error.code in (408, 429)


def _reason(error: Exception) -> str:
    """An error in words, on one line, for the user."""
    reason = getattr(error, "reason", None)  # of a URLError, what is behind it
    text = str(error) if isinstance(error, HTTPError) else str(reason or error)
    return " ".join(text.split()) or type(error).__name__
