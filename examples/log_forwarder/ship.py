"""Sending batches over HTTP, each until the sink has it: the slow side of the queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from threadtree import Signal, Till, current, sleep

from .follow import Line
from .journal import Batch, Journal

__all__ = ["Shipper"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0  # seconds before a batch is sent again
PAUSE_AT_THE_END = 0.05


class Shipper:
    """What a ThreadedQueue ships to: :meth:`extend` returns when the sink has the batch.

    One thread at a time. When an error has come out of it, ``failed`` goes, and every further
    batch is refused: so nothing is taken for shipped that comes behind what was not.
    """

    def __init__(
        self, url: str, journal: Journal, timeout: float, say: Callable[[str], object]
    ) -> None:
        self._url = urlsplit(url)
        self._journal = journal
        self._timeout = timeout
        self._say = say
        self._trouble = ""  # the last that we told of
        self.failed = Signal("shipping failed")
        self.error: BaseException | None = None
        self.batches = self.lines = self.repeated = 0

    def finish_last_run(self) -> None:
        """Send again what an earlier run may or may not have sent."""
        batch = self._journal.on_its_way
        if batch is not None:
            self._deliver(batch)

    def extend(self, lines: list[Line]) -> None:
        """Ship lines, in one batch. In a thread that is asked to end, until its grace is over."""
        if self.error is not None:
            raise self.error
        if lines:
            try:
                self._deliver(self._journal.begin(lines))
            except BaseException as error:
                self.error = error
                self.failed.go()
                raise

    def _deliver(self, batch: Batch) -> None:
        """Send it until it arrives. Each time it is the same batch, by its id."""
        pause = FIRST_PAUSE
        while batch.lines:
            try:
                self._post(batch)
                break
            except (OSError, HTTPException) as error:
                # Whether the sink has it or not, nobody knows.
                self._tell(str(error)[:200] or type(error).__name__)
            self._rest(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self.repeated += 1
        self._tell("")
        self._journal.done()
        self.batches += bool(batch.lines)
        self.lines += len(batch.lines)

    def _post(self, batch: Batch) -> None:
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            connection.request("POST", target, json.dumps(batch._asdict()).encode())
            answer = connection.getresponse()
            answer.read()
            if answer.status // 100 != 2:
                raise HTTPException(f"{answer.status} {answer.reason}")
        finally:
            connection.close()

    def _rest(self, pause: float) -> None:
        please_stop = current().please_stop
        if not please_stop:
            (please_stop | Till(seconds=pause)).wait()
        else:
            # Now this signal has gone, and every Till goes at once; to sleep is still allowed,
            # until our grace is over: then it raises.
            sleep(PAUSE_AT_THE_END)

    def _tell(self, trouble: str) -> None:
        """Say what is wrong, once for each change."""
        if trouble and trouble != self._trouble:
            self._say(f"the sink does not take a batch: {trouble}; trying again")
        self._trouble = trouble
