"""The other side: a sink that keeps the lines, each batch once, and that fails on purpose.

It is what a real one has to be: it stores a batch and its id in one step, and knows the batch when
it comes again.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from threadtree import Lock, Thread, current

from ..downloader.blocking import cut_by_stop, readable

__all__ = ["TROUBLES", "Sink", "Store"]

TROUBLES = ("refuses", "stores and fails", "stores and hangs up", "stalls")
"""What a sink can do instead of answering."""


class Store:
    """The lines that have come, by file, in their order. Any thread."""

    def __init__(self) -> None:
        self.batches = self.known = 0
        self._lines: dict[str, list[str]] = {}
        self._ids: set[str] = set()
        self._lock = Lock("store")

    def add(self, id: str, lines: list[tuple[str, str]]) -> None:
        """Keep a batch, if it is not known."""
        with self._lock:
            if id in self._ids:
                self.known += 1
                return
            self._ids.add(id)
            self.batches += 1
            for path, text in lines:
                self._lines.setdefault(path, []).append(text)

    def lines(self, path: str) -> list[str]:
        """What has come of a file."""
        with self._lock:
            return [*self._lines.get(path, [])]

    def wait_for(self, path: str, text: str) -> bool:
        """Wait until a line of a file has come; False if the current thread was asked to end."""
        please_stop = current().please_stop
        with self._lock:
            while text not in self._lines.get(path, []) and not please_stop:
                # Until somebody leaves a block. That signals one of us; who then leaves, the next.
                self._lock.wait(please_stop)
            return not please_stop


class Sink(ThreadingHTTPServer):
    """Receives batches on a free port of the loopback interface; :meth:`run` is a thread's target.

    ``moods`` says for each request what happens: one of :data:`TROUBLES`, or "" for none.
    """

    request_queue_size = 128
    timeout = 0  # handle_request() never has to wait for one

    def __init__(self, store: Store, moods: Iterator[str]) -> None:
        self.store = store
        self.troubles = 0
        self._moods = moods
        self._lock = Lock("moods")
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where it listens; known before the start."""
        return f"http://127.0.0.1:{self.server_port}/"

    def run(self) -> None:
        """Serve until a stop."""
        with self, readable(self) as wait:
            while wait():
                self.handle_request()

    def mood(self) -> str:
        """How the next request is received."""
        with self._lock:
            mood = next(self._moods)
            self.troubles += bool(mood)
            return mood

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a child answer, where the base class has a bare thread: so it ends with us."""
        name = f"client {client_address[1]}"
        Thread.run(name, self._answer, request, client_address).release()

    def _answer(self, request: socket.socket, client_address: Any, please_stop: object) -> None:
        with cut_by_stop(request):
            self.process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error; but a client that went away, or was cut off by a stop, is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mood = self.server.mood()
        if mood == "refuses":
            self._answer(503)
            return
        if mood != "stalls":
            self.server.store.add(batch["id"], batch["lines"])
        if not mood:
            self._answer(200)
        elif mood == "stores and fails":
            self._answer(500)
        elif mood == "stalls":
            self.connection.recv(1)  # until the client gives up

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
