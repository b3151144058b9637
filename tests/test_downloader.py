"""The example program, run against servers that behave and servers that do not."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

import threadtree
from examples.downloader import display, program, sources
from examples.downloader.manager import Manager, Report
from threadtree import Channel, Worker, current, native, wait_event

from . import misbehaving_server as on
from .bytecodes import is_in
from .helpers import LIMIT, Flag, described
from .misbehaving_server import BODY, MisbehavingServer

ROOT = Path(program.__file__).parents[2]
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer() as server:
        yield server


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "to"


@pytest.fixture
def run(to: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the program in this process; gives its exit code and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        code = program.main(["--to", str(to), *map(str, arguments)])
        said = capsys.readouterr()
        assert said.err == ""
        return code, said.out

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of five small files, in two levels."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    for n in range(5):
        (folder / ("below" if n % 2 else "") / f"{n}.txt").write_text(f"{n}" * 1000 * n)
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# -- what it is for --------------------------------------------------------------------------------


def test_without_arguments_it_downloads_and_verifies_the_standard_library(tmp_path: Path) -> None:
    with Program(TMPDIR=str(tmp_path)) as ran:
        assert ran.ends() == 0, ran.output
    (to,) = tmp_path.iterdir()  # a new directory, and nothing else
    got = files_below(to / sources.standard_library().name)
    assert len(got) >= 300
    for name, content in got.items():
        assert content == (sources.standard_library() / name).read_bytes()
    assert f"downloaded {len(got)} of {len(got)} files" in ran.output
    assert f"into {to}" in ran.output
    assert f"verified the SHA-256 of {len(got)} of them" in ran.output


def test_it_takes_directories_and_urls(
    server: MisbehavingServer, folder: Path, to: Path, run: Any
) -> None:
    url = server.url("/some/file%20name.txt?query", on.good)
    code, said = run(folder, url, "--workers", 3)
    assert code == 0
    expected = {f"folder/{name}": content for name, content in files_below(folder).items()}
    assert files_below(to) == {**expected, "file name.txt": BODY}
    assert "verified the SHA-256 of 5 of them" in said


def test_a_directory_comes_as_it_is(tmp_path: Path, to: Path, run: Any) -> None:
    """Whatever the names of its files are, and without what is no file."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    names = [
        "empty",
        "with space",
        "percent%20",
        "hash#",
        "query?",
        "a.part",
        "a",
        "ünï",
        "index.html",
    ]
    for name in names:
        (folder / name).write_text("" if name == "empty" else name)
    os.symlink("a", folder / "link")
    os.symlink("nowhere", folder / "broken")
    os.symlink("circle", folder / "circle")
    os.mkfifo(folder / "pipe")
    assert run(folder)[0] == 0
    assert files_below(to / "a folder") == {
        name: (folder / name).read_bytes() for name in [*names, "link"]
    }


def test_names_that_are_no_text_are_names(tmp_path: Path, to: Path) -> None:
    folder = tmp_path / "f\N{LATIN SMALL LETTER U WITH DIAERESIS}\udcff"
    folder.mkdir()
    for name in ("\udcfe", "esc\x1b[2J", "new\nline", "?#%ff"):
        (folder / name).write_bytes(os.fsencode(name))
    with Program(folder, "--to", to, PYTHONIOENCODING="ascii") as ran:
        assert ran.ends() == 0, ran.output
    assert files_below(to / folder.name) == files_below(folder)
    assert "serving" in ran.output


def test_what_cannot_be_looked_at_is_reported(tmp_path: Path, to: Path, run: Any) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    names = []
    while sum(map(len, names)) < 4200:  # so that its path is too long
        names.append("x" * 250)
        os.mkdir(names[-1], dir_fd=here)
        here, above = os.open(names[-1], os.O_RDONLY, dir_fd=here), here
        os.close(above)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    code, said = run(tmp_path / names[0], "--retries", 0)
    assert code == 1
    assert "cannot be read: " in said
    assert "too long" in said
    assert "downloaded 0 of 0" not in said


def test_an_empty_directory_is_done_at_once(tmp_path: Path, run: Any) -> None:
    (tmp_path / "empty").mkdir()
    code, said = run(tmp_path / "empty")
    assert (code, "downloaded 0 of 0 files" in said) == (0, True)


def test_it_follows_redirects(server: MisbehavingServer, to: Path, run: Any) -> None:
    server.url("/new", on.good)
    assert run(server.url("/old", on.redirect("/new")))[0] == 0
    assert files_below(to) == {"old": BODY}


@pytest.mark.parametrize(
    ("name", "second"), [("a.b.c", "a.b-2.c"), ("127.0.0.1", "127.0.0.1-2"), (".rc", ".rc-2")]
)
def test_the_second_of_a_name_keeps_its_suffix(name: str, second: str) -> None:
    assert sources.free_path(Path("to", name), {Path("to", name)}) == Path("to", second)


def test_files_of_one_name_do_not_overwrite_each_other(
    server: MisbehavingServer, to: Path, run: Any
) -> None:
    assert run(*[server.url(f"/{n}/name.txt", on.good) for n in range(3)])[0] == 0
    assert set(files_below(to)) == {"name.txt", "name-2.txt", "name-3.txt"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.tar.gz", "b.tar.gz"),
        ("http://host/a/b?c=/d", "b"),
        ("http://host", "host"),
        ("http://host/a/", "a"),
        ("http://host/..%2f..%2fetc%2fpasswd", "passwd"),
        ("http://host/..", "host"),
        ("http://host/%2e%2e", "host"),
        ("http://host/..%5cwindows%5cfile", "file"),
        ("http://host/C:%5cfile", "file"),
    ],
)
def test_no_url_leads_out_of_the_directory(url: str, name: str) -> None:
    assert sources.job_of_url(url, Path("to")).path == Path("to", name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://host/file"],
        ["no/such/directory"],
        [__file__],
        ["--workers", "0"],
        ["--workers", "many"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["--retries", "-1"],
        ["--backoff", "-1"],
        ["--to", __file__],
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        program.main(arguments)
    assert exit.value.code == 2
    assert "error: argument" in capsys.readouterr().err


# -- servers that misbehave ------------------------------------------------------------------------

TRIES = ("--retries", 2, "--backoff", 0)


@pytest.mark.parametrize(
    ("behaviour", "reason", "options"),
    [
        (on.status(500), "Internal Server Error", ()),
        (on.status(429), "Too Many Requests", ()),
        (on.short, f"only {len(BODY) - 1} of {len(BODY)} bytes came", ()),
        (on.chunks_cut_short, "IncompleteRead", ()),
        (on.wrong, "the SHA-256 is not the expected one", ()),
        (on.break_off, "reset", ()),
        (on.nonsense, "220 mail.example.org", ()),
        (on.stall, "timed out", ("--timeout", 0.1)),
        (on.silent, "timed out", ("--timeout", 0.1)),
    ],
    ids=described,
)
def test_a_server_that_fails_gets_retries_and_then_a_clear_report(
    server: MisbehavingServer, to: Path, run: Any, behaviour: Any, reason: str, options: Any
) -> None:
    url = server.url("/file", behaviour)
    code, said = run(f"{url}#sha256={SHA256}", *TRIES, *options)
    assert code == 1
    (report,) = [line for line in said.splitlines() if line.startswith(f"failed: {url}: ")]
    assert reason in report
    assert "tried 3 times" in report
    assert "downloaded 0 of 1 file" in said
    assert files_below(to) == {}
    if behaviour is not on.silent:
        assert len(server.requests) >= 3


def test_a_redirection_in_a_circle_is_reported_at_once(server: MisbehavingServer, run: Any) -> None:
    code, said = run(server.url("/file", on.redirect("/file")), *TRIES)
    assert code == 1
    assert "redirect" in said
    assert "tried once" in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://[::1]:x/", "http://host/a b"])
def test_a_url_that_cannot_be_is_not_tried_again(run: Any, url: str) -> None:
    code, said = run(url, *TRIES)
    assert code == 1
    assert "tried once" in said


def test_the_words_of_a_server_do_not_steer_the_terminal(
    server: MisbehavingServer, run: Any
) -> None:
    said = run(server.url("/file", on.status(404, "\x1b[2J" + "long" * 100)), *TRIES)[1]
    assert "\x1b" not in said
    assert "HTTP Error 404: \ufffd[2Jlong" in said
    assert max(map(len, said.splitlines())) < 300


@pytest.mark.parametrize("elsewhere", ["ftp://127.0.0.1/", "file:///etc/passwd", "data:,x"])
def test_no_redirection_leads_out_of_http(
    server: MisbehavingServer, run: Any, elsewhere: str
) -> None:
    code, said = run(server.url("/file", on.redirect(elsewhere)), *TRIES)
    assert code == 1
    assert "tried once" in said
    assert "refused" not in said  # nobody was asked


def test_a_server_that_recovers_is_forgiven(server: MisbehavingServer, to: Path, run: Any) -> None:
    url = server.url("/file", on.status(503), on.short, on.wrong, on.stall, on.good)
    code, said = run(
        f"{url}#sha256={SHA256.upper()}", "--retries", 4, "--timeout", 0.5, "--backoff", 0.001
    )
    assert code == 0
    assert files_below(to) == {"file": BODY}
    pauses = [float(pause) for pause in re.findall(r"again in (\S+) s", said)]
    assert pauses == [0.001, 0.002, 0.004, 0.008]  # each twice the one before


@pytest.mark.parametrize("code", [403, 404, 410])
def test_what_the_server_refuses_is_not_asked_for_again(
    server: MisbehavingServer, run: Any, code: int
) -> None:
    ended, said = run(server.url("/file", on.status(code)), *TRIES)
    assert ended == 1
    assert f"HTTP Error {code}" in said
    assert "tried once" in said
    assert server.requests == ["/file"]


def test_a_server_that_is_not_there_is_reported(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    code, said = run(f"http://127.0.0.1:{port}/file", *TRIES)
    assert code == 1
    assert "refused; tried 3 times" in said


def test_one_bad_file_does_not_keep_the_others_away(
    server: MisbehavingServer, folder: Path, to: Path, run: Any
) -> None:
    bad = server.url("/bad", on.short)
    code, said = run(bad, folder, *TRIES)
    assert code == 1
    assert files_below(to / "folder") == files_below(folder)
    assert re.findall("^failed: (.*?): ", said, re.M) == [bad]
    assert "downloaded 5 of 6 files" in said


def test_a_file_that_is_there_already_is_kept_until_the_new_one_is_complete(
    server: MisbehavingServer, to: Path, run: Any
) -> None:
    to.mkdir()
    (to / "file").write_text("the old one")
    assert run(server.url("/file", on.short), *TRIES)[0] == 1
    assert files_below(to) == {"file": b"the old one"}
    assert run(server.url("/file", on.good), *TRIES)[0] == 0
    assert files_below(to) == {"file": BODY}


def test_a_file_that_cannot_be_written_is_reported(
    server: MisbehavingServer, to: Path, run: Any
) -> None:
    (to / "file").mkdir(parents=True)
    code, said = run(server.url("/file", on.good), *TRIES)
    assert code == 1
    assert "is a directory" in said.lower()
    assert "tried 3 times" in said
    assert files_below(to) == {}


@pytest.mark.parametrize("threads", [0, 1])
def test_it_does_with_the_threads_that_there_are(
    server: MisbehavingServer, to: Path, run: Any, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    left = threads

    def start(launch: Any, start: Any = native.Launch.start) -> None:
        nonlocal left
        if is_in(sys._getframe(), "_hand_out"):
            left -= 1
            if left < 0:
                left = threads
                raise RuntimeError("can't start new thread")
        start(launch)

    monkeypatch.setattr(native.Launch, "start", start)
    code, said = run(*[server.url(f"/{n}", on.good) for n in range(3)])
    if threads:
        assert code == 0
        assert files_below(to) == {str(n): BODY for n in range(3)}
    else:
        assert code == 1
        assert said.count("can't start new thread; given up") == 3
        assert files_below(to) == {}


# -- pause and resume ------------------------------------------------------------------------------


def test_a_pause_holds_a_download_in_the_middle_of_a_file(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    released, held = Flag(), Flag()
    path = tmp_path / "file"
    job = sources.Job(server.url("/file", on.wait_for(released)), path)
    report, progress = Report(), Channel()
    progress.sub()
    options = {"workers": 4, "timeout": LIMIT, "retries": 0, "backoff": 0.0}
    manager = Worker(Manager([job], report, progress, **options).run).start()
    try:
        server.stalling.wait()  # the download worker waits for the second half
        manager.fire("PAUSE")
        wait_event("PAUSED", LIMIT)
        (downloader,) = manager.children
        seen = []

        def look(event: threadtree.Event) -> None:
            seen.append((downloader.paused, path.exists()))
            held.set()

        downloader.listen(look, "LOOK")
        downloader.fire("LOOK")  # it is handled behind the pause
        released.set()
        held.wait()
        assert seen == [(True, False)]
        manager.fire("RESUME")
        manager.get(LIMIT)
        assert report.fetched == {job: len(BODY)}
    finally:
        manager.shutdown()
        progress.unsub()
        current().update()


# -- Ctrl-C ----------------------------------------------------------------------------------------


class Program:
    """The program in a process of its own."""

    def __init__(self, *arguments: object, launcher: str = "", **options: Any) -> None:
        environ = {
            "PYTHONPATH": str(Path(threadtree.__file__).parents[1]),
            "PYTHONFAULTHANDLER": "1",
        }
        environ |= {name: options.pop(name) for name in list(options) if name.isupper()}
        module = ["-c", launcher] if launcher else ["-m", "examples.downloader"]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, *module, *map(str, arguments)],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options},
            stderr=self._stderr,
            env=os.environ | environ,
            cwd=ROOT,
        )
        self.output = ""
        # One that hangs is ended, and says where it was.
        self._limit = threading.Timer(2 * LIMIT, self.process.send_signal, [signal.SIGABRT])
        self._limit.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._limit.cancel()
        self._limit.join()
        self.process.kill()
        self.process.wait()
        self._stderr.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def read(self) -> str:
        """What it says next; nothing when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def says(self, text: str) -> None:
        """Wait until it says this."""
        while text not in self.output:
            more = self.read()
            assert more, f"it ended without {text!r}:\n{self.output}\n{self.errors()}"
            self.output += more

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Wait for its end; gives the exit code."""
        while more := self.read():
            self.output += more
        code = self.process.wait()
        assert self.errors() == ""
        return code

    def errors(self) -> str:
        """What it has written to stderr."""
        self._stderr.seek(0)
        return self._stderr.read()


# In each of them, the program cannot come to its end: something stalls.
@pytest.mark.parametrize(
    ("behaviour", "moment", "workers"),
    [
        (on.stall, "serving", 8),
        (on.stall, "downloading", 8),
        (on.stall, "1 of 6 files", 8),
        (on.stall, None, 8),
        (on.stall_without_a_length, None, 8),
        (on.stall, None, 1),  # so that the other files are still to be handed out
        (on.silent, None, 8),
        (on.status(500), "again in", 8),
    ],
    ids=described,
)
def test_ctrl_c_at_any_moment_ends_in_order(
    server: MisbehavingServer,
    folder: Path,
    to: Path,
    behaviour: Any,
    moment: str | None,
    workers: int,
) -> None:
    url = server.url("/stalls", behaviour)
    options = ("--timeout", 3600, "--backoff", 3600, "--workers", workers, "--to", to)
    with Program(url, folder, *options) as ran:
        if moment is None:
            server.stalling.wait()
        else:
            ran.says(moment)
        ran.interrupt()
        assert ran.ends() == 130
    assert "interrupted: downloaded" in ran.output
    originals = files_below(folder)
    for name, content in files_below(to).items():
        assert content == originals[name.removeprefix("folder/")]  # so there is no half file


def test_ctrl_c_in_each_call_of_the_main_thread_leaves_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    originals = files_below(folder)
    number, interrupted = 0, True
    while interrupted:
        to = tmp_path / str(number)
        with interrupt_in_call(number) as place:
            try:
                code = program.main([str(folder), "--to", str(to), "--workers", "2"])
            except KeyboardInterrupt:  # before the start, or after the end of all the work
                code = 130
        interrupted = bool(place)
        assert code == (130 if interrupted else 0), place
        assert set(threadtree.WORKER_POOL.pool) == {threading.main_thread()}, place
        for name, content in files_below(to).items():
            assert content == originals[name.removeprefix("folder/")], place
        number += 1
    assert number > 20
    assert capsys.readouterr().err == ""


@contextmanager
def interrupt_in_call(number: int) -> Iterator[list[str]]:
    """Ctrl-C comes at the beginning of the ``number``-th function that the main thread calls.

    Of the program and of the library. Gives which it was, if there were so many.
    """
    place: list[str] = []
    left = number
    ours = (str(ROOT / "examples"), str(Path(threadtree.__file__).parent))

    def trace(frame: Any, event: str, argument: object) -> None:
        nonlocal left
        code = frame.f_code
        if place or not code.co_filename.startswith(ours) or is_in(frame, "__del__"):
            return
        left -= 1
        if left < 0:
            place.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
            signal.raise_signal(signal.SIGINT)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield place
    finally:
        sys.settrace(before)


def test_ctrl_c_does_not_wait_for_a_tls_handshake(to: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/file"
        with Program(url, "--timeout", 3600, "--to", to) as ran:
            mute.settimeout(LIMIT)
            connection, _ = mute.accept()
            with connection:
                assert connection.recv(1)  # it has begun to shake hands
                ran.interrupt()
                assert ran.ends() == 130


SAYS_THAT_IT_CONNECTS = """
import socket

class Socket(socket.socket):
    def connect(self, address):
        print("connecting", flush=True)
        super().connect(address)

socket.socket = Socket
threadtree.graces.asked = threadtree.graces.told = 1
"""


def test_ctrl_c_does_not_wait_for_a_connection(to: Path) -> None:
    with socket.socket() as busy, ExitStack() as queue:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for _ in range(4):  # so that it takes no more
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        url = f"http://127.0.0.1:{busy.getsockname()[1]}/file"
        launcher = AFTER.format(SAYS_THAT_IT_CONNECTS)
        with Program(url, "--timeout", 3600, "--to", to, launcher=launcher) as ran:
            ran.says("connecting")
            ran.interrupt()
            assert ran.ends() == 130
    assert "still running" not in ran.output


def test_sigterm_ends_in_order_too(server: MisbehavingServer, to: Path) -> None:
    with Program(server.url("/stalls", on.stall), "--timeout", 3600, "--to", to) as ran:
        server.stalling.wait()
        ran.process.terminate()
        assert ran.ends() == 130
    assert files_below(to) == {}


# Runs the program, and does something first. What comes in between, here comes for certain.
AFTER = """
import runpy, signal, sys, threadtree
{}
runpy.run_module("examples.downloader", run_name="__main__", alter_sys=True)
"""
INTERRUPTS_AT_THE_END = """
def shutdown(worker, end=threadtree.Worker.shutdown):
    interrupt()
    stragglers = end(worker)
    interrupt()
    return stragglers

def interrupt():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)

threadtree.Worker.shutdown = shutdown
"""


def test_further_interrupts_do_not_disturb_the_end(server: MisbehavingServer, to: Path) -> None:
    launcher = AFTER.format(INTERRUPTS_AT_THE_END)
    with Program(server.url("/stalls", on.stall), "--to", to, launcher=launcher) as ran:
        server.stalling.wait()
        ran.interrupt()
        assert ran.ends() == 130
    assert "interrupted: downloaded 0 of 1 file" in ran.output
    assert files_below(to) == {}


@pytest.mark.parametrize("program", ["downloader", "log_forwarder"])
def test_ctrl_c_while_it_imports_is_no_error(program: str) -> None:
    launcher = f"""
import runpy, signal, sys
class Interrupt:
    def find_spec(name, *args):
        if name == "threadtree":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
runpy.run_module("examples.{program}", run_name="__main__", alter_sys=True)
"""
    with Program(launcher=launcher) as ran:
        assert ran.ends() == 130
    assert ran.output == ""


def test_ctrl_c_ends_it_when_its_output_is_stuck(server: MisbehavingServer, to: Path) -> None:
    launcher = AFTER.format("threadtree.graces.asked = threadtree.graces.told = 0.05")
    said_enough = Flag()
    server.on_request = lambda number: said_enough.set() if number == 5 else None
    url = server.url("/" + "x" * 3000, on.status(500))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)
    os.read(reader, 4096)  # room for two lines
    options = ("--retries", 1000, "--backoff", 0, "--to", to)
    with Program(url, *options, launcher=launcher, stdout=writer) as ran:
        said_enough.wait()
        ran.interrupt()
        assert ran.process.wait() == 130
        assert "Traceback" not in ran.errors()  # the library names what is stuck
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("streams", ["<&- >&-", ">/dev/full"])
def test_it_needs_no_standard_streams(folder: Path, to: Path, streams: str) -> None:
    launcher = f"""
import os, sys
command = 'exec "$0" -m examples.downloader "$@" {streams}'
os.execv("/bin/sh", ["sh", "-c", command, sys.executable, *sys.argv[1:]])
"""
    with Program(folder, "--to", to, launcher=launcher) as ran:
        assert ran.ends() == 0
    assert files_below(to / "folder") == files_below(folder)


def test_it_goes_on_when_nobody_reads_what_it_says(folder: Path, to: Path) -> None:
    with Program(folder, "--to", to) as ran:
        ran.process.stdout.close()
        ran.process.stdout = None
        assert ran.process.wait() == 0
        assert ran.errors() == ""
    assert files_below(to / "folder") == files_below(folder)


# -- a terminal ------------------------------------------------------------------------------------

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
termios = pytest.importorskip("termios")

# Makes its stdin the terminal of its session, so that Ctrl-C means something there.
ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "examples.downloader", *sys.argv[1:]])
"""


# A shell that moves its job to the background when it is asked to, ends it, and says how it ended.
IN_A_SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def to_foreground():
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
command = [sys.executable, "-m", "examples.downloader", *sys.argv[1:]]
job = subprocess.Popen(command, preexec_fn=to_foreground)
signal.sigwait([signal.SIGUSR1])
os.tcsetpgrp(0, os.getpgrp())
job.terminate()
status = os.waitpid(job.pid, os.WUNTRACED)[1]
job.kill()
sys.exit("stopped" if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
"""


class ProgramOnTerminal(Program):
    """The program on a pseudo-terminal; what it says is what is drawn there."""

    def __init__(self, *arguments: object, launcher: str = ON_ITS_TERMINAL, **environ: str) -> None:
        self._keyboard, self._terminal = pty.openpty()
        self._before = termios.tcgetattr(self._terminal)
        super().__init__(
            *arguments,
            launcher=launcher,
            start_new_session=True,
            stdin=self._terminal,
            stdout=self._terminal,
            **environ,
        )

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        os.close(self._keyboard)
        os.close(self._terminal)

    def read(self) -> str:
        return os.read(self._keyboard, 4096).decode(errors="replace")

    def press(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def ends(self) -> int:
        code = self.process.wait()
        assert self.errors() == ""
        os.write(self._terminal, b"THE END")
        self.says("THE END")
        assert termios.tcgetattr(self._terminal) == self._before
        return code


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_the_keys_pause_resume_and_quit(server: MisbehavingServer, to: Path, terminal: str) -> None:
    released = Flag()
    urls = [server.url("/first", on.wait_for(released)), server.url("/second", on.stall)]
    with ProgramOnTerminal(*urls, "--workers", 1, "--to", to, TERM=terminal) as ran:
        server.stalling.wait()
        ran.press("p")
        ran.says("paused")
        released.set()
        assert server.requests == ["/first"]
        ran.press("x")  # is nothing
        ran.press("R")
        ran.says("1 of 2 files")
        ran.press("q")
        assert ran.ends() == 1
        assert "stopped: downloaded 1 of 2 files" in ran.output
    assert files_below(to) == {"first": BODY}


def test_a_pause_can_be_ended_by_quitting(server: MisbehavingServer, to: Path) -> None:
    with ProgramOnTerminal(server.url("/stalls", on.stall), "--to", to, TERM="dumb") as ran:
        server.stalling.wait()
        ran.press("p")
        ran.says("paused")
        ran.press("q")
        assert ran.ends() == 1
    assert files_below(to) == {}


def test_ctrl_c_on_a_terminal_ends_in_order_and_gives_the_terminal_back(
    server: MisbehavingServer, to: Path
) -> None:
    with ProgramOnTerminal(server.url("/stalls", on.stall), "--to", to, TERM="xterm") as ran:
        ran.says("q quit")
        server.stalling.wait()
        ran.press("\x03")
        assert ran.ends() == 130
        assert "\x1b[?25h" in ran.output  # the cursor is visible again
        assert "interrupted: downloaded 0 of 1 file" in ran.output
    assert files_below(to) == {}


def test_in_the_background_it_ends_without_the_terminal(
    server: MisbehavingServer, to: Path
) -> None:
    url = server.url("/stalls", on.stall)
    with ProgramOnTerminal(url, "--to", to, TERM="dumb", launcher=IN_A_SHELL) as ran:
        server.stalling.wait()
        ran.press("p")
        ran.says("paused")
        ran.process.send_signal(signal.SIGUSR1)
        assert ran.process.wait() == 130
        assert ran.errors() == ""


def test_a_terminal_shows_live_bars(server: MisbehavingServer, folder: Path, to: Path) -> None:
    pytest.importorskip("rich")
    with ProgramOnTerminal(folder, "--to", to, TERM="xterm") as ran:
        assert ran.ends() == 0
    assert "\x1b[?25l" in ran.output  # the cursor is hidden meanwhile
    assert "5 of 5 files" in ran.output
    assert "━" in ran.output


def test_without_rich_a_terminal_shows_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(display, "find_spec", lambda name: None)
    assert isinstance(display.picture_of(current()), nullcontext)


def test_amounts_are_for_people() -> None:
    assert [display.amount(10**n) for n in (0, 3, 6, 9, 12)] == [
        "0.0 kB",
        "1.0 kB",
        "1.0 MB",
        "1.0 GB",
        "1000.0 GB",
    ]
