"""Downloading one file: all of it, or nothing."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from threadtree import checkpoint

from .blocking import cut_by_stop
from .sources import Job

__all__ = ["Damaged", "fetch", "sha256_of"]

CHUNK = 1 << 16


class Damaged(Exception):  # noqa: N818 - it says what the file is
    """What came is not what was to come."""


def fetch(
    job: Job,
    timeout: float,
    on_begin: Callable[[int | None], object],
    on_bytes: Callable[[int], object],
) -> int:
    """Download a file, verify it, and only then give it its name; gives its size.

    For workers: between two chunks it can be paused and stopped. Whatever ends it, no half file
    is left. ``on_begin`` is called with the size, if that is known, ``on_bytes`` with each piece's.
    Raises OSError, HTTPException or Damaged; none is a reason not to try again.
    """
    folder = job.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{job.path.stem[:40]}.{token_hex(4)}.part"  # is no other file's name
    try:
        received = 0
        with _open(job.url, timeout) as response, part.open("wb") as file:
            size = response.length
            on_begin(size)
            while received != size and (chunk := response.read1(CHUNK)):
                file.write(chunk)
                received += len(chunk)
                on_bytes(len(chunk))
                checkpoint()
            checkpoint()  # cut by a stop, an answer of unknown length looks as if it were complete
        if size is not None and received < size:
            raise Damaged(f"only {received} of {size} bytes came")
        expected = sha256_of(job.original) if job.original else job.sha256
        if expected and sha256_of(part) != expected.lower():
            raise Damaged("the SHA-256 is not the expected one")
        os.replace(part, job.path)
        return received
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. For workers, as :func:`fetch`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            checkpoint()
    return digest.hexdigest()


@contextmanager
def _open(url: str, timeout: float) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request for a URL. A stop cuts the connection at any point from here on."""
    # No proxy could reach our loopback interface.
    ours = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    proxies = urllib.request.ProxyHandler({} if ours else None)
    request = urllib.request.Request(url, headers={"User-Agent": "threadtree-downloader"})
    with ExitStack() as cleanup:
        opener = urllib.request.OpenerDirector()  # only http(s), wherever we are redirected to
        for handler in (
            proxies,
            _Handler(cleanup),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        try:
            response = cleanup.enter_context(opener.open(request, timeout=timeout))
        except HTTPError as error:
            error.close()
            raise
        yield response


class _Connection(http.client.HTTPConnection):
    """A connection that a stop of the worker that made it cuts."""

    cleanup: ExitStack

    def connect(self) -> None:
        # Where the base class has socket.create_connection.
        self._create_connection = partial(_connect, self.cleanup)
        super().connect()


def _connect(
    cleanup: ExitStack, address: tuple[str, int], timeout: float, source: object
) -> socket.socket:
    """A connection to the first of the addresses of a host that takes it. A stop cuts that, too."""
    host, port = address
    if port > 65535:
        raise ValueError(f"there is no port {port}")  # getaddrinfo would take another
    error = OSError(f"no address of {host}")
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        try:
            with ExitStack() as attempt:
                connection = attempt.enter_context(socket.socket(family, kind, protocol))
                connection.setblocking(False)
                with suppress(BlockingIOError):
                    connection.connect(place)  # only begins, because what has not cannot be cut
                attempt.enter_context(cut_by_stop(connection))
                connection.settimeout(timeout)
                connection.send(b"")  # waits until it is there, or raises what went wrong
                cleanup.push(attempt.pop_all())
                return connection
        except OSError as failure:
            error = failure
    raise error


class _TLSConnection(http.client.HTTPSConnection, _Connection):
    """The same for https. In this order of bases, a stop cuts the handshake, too."""


@cache
def _tls() -> ssl.SSLContext:
    """Whom to trust; to load that for each file would take longer than many a file."""
    return ssl.create_default_context()


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Has urllib use our connections."""

    def __init__(self, cleanup: ExitStack) -> None:
        super().__init__(context=_tls())
        self._cleanup = cleanup

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect(_Connection), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect(_TLSConnection), req, context=_tls())

    def _connect(self, kind: type[_Connection]) -> Any:
        def connection(host: str, **options: Any) -> _Connection:
            made = kind(host, **options)
            made.cleanup = self._cleanup
            return made

        return connection
