"""An HTTP server that misbehaves as it is told: it fails, stalls, lies, and breaks off.

Each path has a script: what it does at the first request, at the second, and so on; the last entry
holds for all that follow. A behaviour is a function of the request. One that stalls does so until
the client hangs up, so that nothing here depends on time.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

from .helpers import LIMIT, Flag

__all__ = [
    "BODY",
    "Behaviour",
    "MisbehavingServer",
    "break_off",
    "chunks_cut_short",
    "good",
    "nonsense",
    "redirect",
    "short",
    "silent",
    "stall",
    "stall_without_a_length",
    "status",
    "wait_for",
    "wrong",
]

BODY = b"what was to come, all of it\n" * 1000


class Request(BaseHTTPRequestHandler):
    """A request, with what a behaviour needs to answer it."""

    server: _Server
    timeout = LIMIT  # no test that passes comes near it

    def do_GET(self) -> None:
        owner = self.server.owner
        with owner.lock:
            owner.requests.append(self.path)
            number = owner.requests.count(self.path)
        script = owner.scripts[self.path]
        owner.on_request(number)
        script[min(number, len(script)) - 1](self)

    def head(
        self,
        *,
        length: int | None = len(BODY),
        code: int = 200,
        reason: str | None = None,
        **headers: str,
    ) -> None:
        """Send the status line and the headers."""
        self.send_response(code, reason)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.flush()

    def stall(self) -> None:
        """Do nothing more until the client hangs up."""
        self.server.owner.stalling.set()
        self.connection.recv(1)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


Behaviour: TypeAlias = Callable[[Request], object]


def good(request: Request) -> None:
    """Behave."""
    request.head()
    request.wfile.write(BODY)


def wrong(request: Request) -> None:
    """As many bytes as promised, but others."""
    request.head()
    request.wfile.write(BODY[::-1])


def short(request: Request) -> None:
    """Fewer bytes than promised."""
    request.head()
    request.wfile.write(BODY[:-1])


def chunks_cut_short(request: Request) -> None:
    """No length promised, but more chunks than come."""
    request.protocol_version = "HTTP/1.1"
    request.head(length=None, Transfer_Encoding="chunked")
    request.wfile.write(b"%x\r\n%b\r\n" % (len(BODY), BODY))


def stall(request: Request) -> None:
    """Half of the bytes, then none."""
    request.head()
    request.wfile.write(BODY[: len(BODY) // 2])
    request.stall()


def stall_without_a_length(request: Request) -> None:
    """Half of the bytes, then none; that there are more is not known."""
    request.head(length=None)
    request.wfile.write(BODY[: len(BODY) // 2])
    request.stall()


def silent(request: Request) -> None:
    """No answer at all."""
    request.stall()


def break_off(request: Request) -> None:
    """A connection that is reset in the middle of the bytes."""
    request.head()
    request.wfile.write(BODY[: len(BODY) // 2])
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


def nonsense(request: Request) -> None:
    """Something that is not HTTP."""
    request.wfile.write(b"220 mail.example.org ESMTP\r\n")


def status(code: int, reason: str | None = None) -> Behaviour:
    """An error."""
    return lambda request: request.head(code=code, reason=reason, length=0)


def redirect(path: str) -> Behaviour:
    """The file is elsewhere."""
    return lambda request: request.head(code=302, length=0, Location=path)


def wait_for(flag: Flag) -> Behaviour:
    """The second half of the bytes comes when the flag is set."""

    def in_two_halves(request: Request) -> None:
        request.head()
        half = len(BODY) // 2
        request.wfile.write(BODY[:half])
        request.server.owner.stalling.set()
        flag.wait()
        request.wfile.write(BODY[half:])

    return in_two_halves


class MisbehavingServer:
    """Serves what it is told to. Use it as a context manager; at its end all its threads are gone.

    ``requests`` are the paths in the order they were asked for; ``stalling`` is set when a client
    waits for bytes that do not come; ``on_request`` is called with the number of each request for
    its path.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.scripts: dict[str, tuple[Behaviour, ...]] = {}
        self.stalling = Flag()
        self.on_request: Callable[[int], object] = lambda number: None
        self.lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)

    def url(self, path: str, *script: Behaviour) -> str:
        """Have a path behave so; gives its URL."""
        self.scripts[path] = script
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.closing = True
        socket.create_connection(self._server.server_address[:2]).close()  # wakes it
        self._thread.join(LIMIT)
        self._server.server_close()  # waits for the threads of the requests


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, owner: MisbehavingServer) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.owner = owner
        self.closing = False

    def serve(self) -> None:
        while not self.closing:
            self.handle_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of this one hang up."""
