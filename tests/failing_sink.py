"""An HTTP sink that fails as it is told, and keeps account of all that came.

It has a script: what it does at the first request, at the second, and so on; then it behaves. A
behaviour is a function of the request. One that stalls does so until the client hangs up.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

from .helpers import LIMIT, Flag

__all__ = [
    "TROUBLES",
    "Behaviour",
    "FailingSink",
    "good",
    "hang_up_after_storing",
    "hang_up_before_storing",
    "nonsense_after_storing",
    "refuse_after_storing",
    "refuse_before_storing",
    "stall_after_storing",
    "stall_before_storing",
]


class Request(BaseHTTPRequestHandler):
    """A request, with what a behaviour needs."""

    server: _Server
    timeout = LIMIT
    batch: Any

    def do_POST(self) -> None:
        self.batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.owner._next_behaviour(self.batch)(self)

    def store(self) -> None:
        """Keep the batch, if it is not known."""
        self.server.owner._store(self.batch)

    def answer(self, code: int) -> None:
        """Give an answer without a body."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def stall(self) -> None:
        """Do nothing more until the client hangs up."""
        self.server.owner.stalling.set()
        self.connection.recv(1)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


Behaviour: TypeAlias = Callable[[Request], object]


def good(request: Request) -> None:
    """Behave."""
    request.store()
    request.answer(200)


def refuse_before_storing(request: Request) -> None:
    """Answer 500."""
    request.answer(500)


def refuse_after_storing(request: Request) -> None:
    """Answer 500, but have it."""
    request.store()
    request.answer(500)


def hang_up_before_storing(request: Request) -> None:
    """No answer."""


def hang_up_after_storing(request: Request) -> None:
    """No answer, but have it."""
    request.store()


def nonsense_after_storing(request: Request) -> None:
    """Answer something that is not HTTP, but have it."""
    request.store()
    request.wfile.write(b"220 mail.example.org ESMTP\r\n")


def stall_before_storing(request: Request) -> None:
    """No answer for a long time."""
    request.stall()


def stall_after_storing(request: Request) -> None:
    """No answer for a long time, but have it."""
    request.store()
    request.stall()


TROUBLES = [
    refuse_before_storing,
    refuse_after_storing,
    hang_up_before_storing,
    hang_up_after_storing,
    nonsense_after_storing,
    stall_before_storing,
    stall_after_storing,
]


class FailingSink:
    """Use it as a context manager; at its end all its threads are gone.

    ``ids`` are the batches in the order in which they were sent, ``lines`` what it keeps, in order.
    ``always`` is what it does when the script is over. ``stalling`` is set when a client waits.
    """

    def __init__(self, *script: Behaviour) -> None:
        self.ids: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self.always: Behaviour = good
        self.stalling = Flag()
        self._script = list(script)
        self._sent: dict[str, Any] = {}
        self._stored: set[str] = set()
        self._changed = threading.Condition()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/logs?of=tests"

    def texts(self, file: object) -> list[str]:
        """The lines of a file."""
        with self._changed:
            return [text for path, text in self.lines if path == str(file)]

    def wait_for(self, *texts: str) -> None:
        """Wait until it has these lines."""

        def are_there() -> bool:
            there = [text for _, text in self.lines]
            return all(text in there for text in texts)

        with self._changed:
            assert self._changed.wait_for(are_there, LIMIT), (texts, self.lines)

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ids) >= count, LIMIT), self.ids

    def _next_behaviour(self, batch: Any) -> Behaviour:
        with self._changed:
            self.ids.append(batch["id"])
            self._changed.notify_all()
            # A batch that comes again is the same batch.
            assert self._sent.setdefault(batch["id"], batch) == batch
            return self._script.pop(0) if self._script else self.always

    def _store(self, batch: Any) -> None:
        with self._changed:
            if batch["id"] not in self._stored:
                self._stored.add(batch["id"])
                self.lines += [(path, text) for path, text in batch["lines"]]
                self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop()
        self._thread.join(LIMIT)
        self._server.server_close()  # waits for the threads of the requests


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, owner: FailingSink) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.owner = owner
        self._closing = False

    def serve(self) -> None:
        while not self._closing:
            self.handle_request()

    def stop(self) -> None:
        self._closing = True
        socket.create_connection(self.server_address[:2]).close()  # wakes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up; anything else is a mistake, and is told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
