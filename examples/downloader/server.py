"""A file server that runs as a worker, and has a child for each connection."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from threadtree import create_worker

from .blocking import cut_by_stop, readable

__all__ = ["FileServer"]


class FileServer(ThreadingHTTPServer):
    """Serves a directory, on a free port of the loopback interface. :meth:`run` is the task."""

    request_queue_size = 128
    timeout = 0  # handle_request() never has to wait for one

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(("127.0.0.1", 0), partial(_QuietHandler, directory=str(directory)))

    @property
    def url(self) -> str:
        """Where the directory is served; known before the start."""
        return f"http://127.0.0.1:{self.server_port}/"

    def run(self) -> None:
        """Serve until a stop."""
        with self, readable(self) as wait:
            while wait():
                self.handle_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a child answer, where the base class has a bare thread: so it ends with us."""
        name = f"client-{client_address[1]}"
        try:
            create_worker(self._answer, request, client_address, name=name)
        except RuntimeError:  # there are no more threads: it has to come again
            self.shutdown_request(request)

    def _answer(self, request: socket.socket, client_address: Any) -> None:
        with suppress(OSError), cut_by_stop(request):  # no descriptor for it: then no answer
            self.process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error; but a client that went away, or was cut off by a stop, is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _QuietHandler(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        """The file that a path means. Names may be any bytes; the base class knows only UTF-8."""
        path = path.partition("?")[0].partition("#")[0]
        name = unquote(path, errors="surrogateescape")
        return super().translate_path(quote(name, errors="surrogatepass"))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the downloads are what the user looks at."""
