"""The log forwarder: files that are rotated, a sink that fails, and an end at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import threadtree
from examples.log_forwarder import follow, program
from examples.log_forwarder.follow import CHUNK, Follower, Position
from examples.log_forwarder.journal import Journal
from examples.log_forwarder.ship import Shipper
from examples.log_forwarder.sink import TROUBLES, Sink, Store
from threadtree import create_worker

from . import failing_sink as sinks
from .failing_sink import FailingSink
from .helpers import LIMIT

ROOT = Path(program.__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "of the forwarder"


@pytest.fixture(autouse=True)
def folder_of_the_state(state: Path) -> None:
    state.parent.mkdir()


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# -- reading files that grow and rotate ------------------------------------------------------------


@pytest.fixture
def follower(log: Path) -> Iterator[Follower]:
    follower = Follower(log, linger=3600)
    yield follower
    follower.close()


def texts(follower: Follower, *, is_last: bool = False) -> list[str | None]:
    return [line.text for line in follower.look(is_last)]


def test_a_file_may_come_later_and_each_line_is_read_once(follower: Follower, log: Path) -> None:
    assert texts(follower) == []
    write(log, "one\ntwo\n")
    assert texts(follower) == ["one", "two"]
    assert texts(follower) == []
    write(log, "\nthree\r\n")
    assert texts(follower) == ["", "three\r"]


def test_a_line_is_not_read_until_it_is_complete_or_the_end_comes(
    follower: Follower, log: Path
) -> None:
    write(log, "one\ntw")
    assert texts(follower) == ["one"]
    write(log, "o\nthr")
    assert texts(follower) == ["two"]
    assert texts(follower, is_last=True) == ["thr"]
    write(log, "ee\n")
    assert texts(follower) == ["ee"]


def test_a_line_may_be_longer_than_what_is_read_at_a_time(follower: Follower, log: Path) -> None:
    long = "x" * (3 * CHUNK)
    write(log, f"one\n{long}")
    assert texts(follower) == ["one"]
    write(log, f"y\n{long}")
    assert texts(follower) == [long + "y"]
    assert texts(follower, is_last=True) == [long]


def test_bytes_that_are_no_utf_8_can_be_had_back(follower: Follower, log: Path) -> None:
    log.write_bytes(b"\xff\xfe\x00\n")
    (text,) = texts(follower)
    assert text is not None
    assert json.loads(json.dumps(text)).encode(errors="surrogateescape") == b"\xff\xfe\x00"


def test_a_line_that_could_not_be_handed_on_comes_again(follower: Follower, log: Path) -> None:
    write(log, "one\ntwo\nthree\n")
    for line in follower.look():
        if line.text == "two":
            break
    assert texts(follower) == ["two", "three"]


def test_a_renamed_file_is_read_on_beside_the_new_one(follower: Follower, log: Path) -> None:
    write(log, "one\n")
    assert texts(follower) == ["one"]
    old = log.rename(log.with_name("app.log.1"))
    write(old, "two\n")  # there is no new file yet
    assert texts(follower) == ["two"]
    write(old, "three\n")
    write(log, "four\n")
    assert texts(follower) == ["three", "four"]
    write(log, "six\n")
    write(old, "five\n")  # its writer has not noticed
    assert texts(follower) == ["five", "six"]


def test_a_renamed_file_that_is_quiet_is_left_with_its_last_line(log: Path) -> None:
    follower = Follower(log, linger=0)
    write(log, "one\ntw")
    assert texts(follower) == ["one"]
    log.rename(log.with_name("app.log.1"))
    assert texts(follower) == []  # nothing has come in its place
    write(log, "three\n")
    assert texts(follower) == ["tw", None, "three"]
    assert texts(follower) == []
    follower.close()


@pytest.mark.parametrize("after", ["new\n", "new and longer\nthan before\n"])
def test_a_truncated_file_is_read_from_its_beginning(
    follower: Follower, log: Path, after: str
) -> None:
    write(log, "one\ntwo\n")
    assert texts(follower) == ["one", "two"]
    log.write_text(after)
    assert texts(follower) == after.splitlines()
    log.write_text("")
    assert texts(follower) == []
    write(log, after)
    assert texts(follower) == after.splitlines()


def test_what_was_read_is_not_read_again_by_the_next_run(log: Path) -> None:
    first = Follower(log, linger=3600)
    write(log, "one\n")
    lines = [*first.look()]
    old = log.rename(log.with_name("app.log.1"))
    write(old, "two\nthr")
    write(log, "four\n")
    lines += first.look()
    first.close()
    assert [line.text for line in lines] == ["one", "two", "four"]
    write(old, "ee\n")
    write(log, "five\n")
    log.rename(log.with_name("app.log.2"))  # while nobody looks
    write(log, "six\n")
    read = {line.position.file: line.position for line in lines}
    second = Follower(log, 3600, read.values())
    assert texts(second) == ["three", "five", "six"]
    second.close()


def test_a_rotation_while_it_is_looked_for_hides_no_file(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Follower(log, 3600)
    write(log, "one\n")
    (line,) = first.look()
    first.close()
    looks = []

    def rotated_behind_the_look(folder: Path) -> object:
        looks.append(files_of(folder))
        if len(looks) == 2:
            write(log, "two\n")
            log.rename(log.with_name("app.log.1"))
            write(log, "three\n")
        return looks[-1]

    files_of = follow._files
    monkeypatch.setattr(follow, "_files", rotated_behind_the_look)
    second = Follower(log, 3600, [line.position])
    assert texts(second) == ["two", "three"]
    second.close()
    assert len(looks) == 4


def test_another_file_with_the_same_number_is_told_by_its_content(log: Path) -> None:
    write(log, "of another time\n")
    status = log.stat()
    before = Position(str(log), status.st_dev, status.st_ino, 4, b"one\n".hex())
    follower = Follower(log, 3600, [before])
    assert texts(follower) == ["of another time"]
    follower.close()


# -- remembering -----------------------------------------------------------------------------------


def test_the_journal_remembers_what_was_shipped_and_what_is_on_its_way(
    follower: Follower, log: Path, state: Path
) -> None:
    journal = Journal(state)
    write(log, "one\ntwo\n")
    one, two = follower.look()
    first = journal.begin([one])
    assert Journal(state).on_its_way == first == journal.on_its_way
    assert Journal(state).shipped(log) == []
    journal.done()
    assert Journal(state).on_its_way is None
    assert Journal(state).shipped(log) == [one.position]
    second = Journal(state).begin([two])
    assert second.id != first.id
    assert second.lines == [(str(log), "two")]
    again = Journal(state)
    assert again.on_its_way == second
    again.done()
    assert again.shipped(log) == [two.position]
    assert again.shipped(log.with_name("another")) == []


def test_the_journal_forgets_a_file_that_is_left(log: Path, state: Path) -> None:
    follower, journal = Follower(log, linger=0), Journal(state)
    write(log, "one\n")
    journal.begin(follower.look())
    journal.done()
    log.rename(log.with_name("app.log.1"))
    write(log, "two\n")
    batch = journal.begin(follower.look())
    assert [text for _, text in batch.lines] == ["two"]
    journal.done()
    (position,) = journal.shipped(log)
    assert position.inode == log.stat().st_ino
    follower.close()


@pytest.mark.parametrize("content", ["", "[]", '{"id": 3}', "\xe4"])
def test_the_journal_refuses_a_file_that_is_not_its_own(state: Path, content: str) -> None:
    state.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r".+"):
        Journal(state)
    assert state.read_text("utf-8") == content


# -- shipping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", sinks.TROUBLES)
def test_a_sink_that_fails_gets_each_line_once(
    follower: Follower, log: Path, state: Path, trouble: sinks.Behaviour
) -> None:
    said: list[str] = []
    stalls = trouble in (sinks.stall_before_storing, sinks.stall_after_storing)
    write(log, "one\ntwo\nthree\n")
    one, two, three = follower.look()
    with FailingSink(trouble, trouble, sinks.good, trouble) as sink:
        shipper = Shipper(sink.url, Journal(state), 0.3 if stalls else LIMIT, said.append)
        shipper.extend([one, two])
        shipper.extend([three])
    assert sink.texts(log) == ["one", "two", "three"]
    first, second = dict.fromkeys(sink.ids)
    assert sink.ids == [first] * 3 + [second] * 2
    assert (shipper.batches, shipper.lines, shipper.repeated) == (2, 3, 3)
    assert len(said) == 2  # once for each time that it begins


def test_a_batch_of_the_last_run_is_sent_again_under_its_number(
    follower: Follower, log: Path, state: Path
) -> None:
    write(log, "one\ntwo\n")
    one, two = follower.look()
    begun = Journal(state).begin([one])
    with FailingSink() as sink:
        shipper = Shipper(sink.url, Journal(state), LIMIT, print)
        shipper.finish_last_run()
        shipper.finish_last_run()  # it is done
        shipper.extend([two])
    assert sink.texts(log) == ["one", "two"]
    assert sink.ids[0] == begun.id
    assert len(sink.ids) == 2


def test_after_an_error_nothing_is_shipped_that_comes_behind(
    follower: Follower, log: Path, state: Path
) -> None:
    write(log, "one\ntwo\n")
    one, two = follower.look()
    with FailingSink() as sink:
        shipper = Shipper(sink.url, Journal(state), LIMIT, print)
        state.parent.rename(state.parent.with_name("away"))
        for line in (one, two):
            with pytest.raises(FileNotFoundError):
                shipper.extend([line])
            assert shipper.failed
    assert sink.ids == []


def test_the_sink_of_the_example_knows_a_batch_that_comes_again(
    follower: Follower, log: Path, state: Path
) -> None:
    store = Store()
    sink = Sink(store, iter([*TROUBLES, ""]))
    server = create_worker(sink.run)
    write(log, "one\n")
    try:
        shipper = Shipper(sink.url, Journal(state), 0.1, lambda line: None)
        shipper.extend([*follower.look()])
    finally:
        server.stop().join()
    assert store.lines(str(log)) == ["one"]
    assert (store.batches, store.known, sink.troubles) == (1, 2, 4)


# -- the program -----------------------------------------------------------------------------------


class Program:
    """The program in a process of its own."""

    def __init__(self, *arguments: object, launcher: str = "", **environ: str) -> None:
        module = ["-c", launcher] if launcher else ["-m", "examples.log_forwarder"]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, *module, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=os.environ
            | {"PYTHONPATH": str(Path(threadtree.__file__).parents[1]), "PYTHONFAULTHANDLER": "1"}
            | environ,
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
        assert self.process.stdout is not None
        self.process.stdout.close()

    def says(self, text: str) -> None:
        """Wait until it says this."""
        assert self.process.stdout is not None
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"it ended without {text!r}:\n{self.output}\n{self.errors()}"
            self.output += line

    def ends(self, number: int | None = None) -> int:
        """Send it a signal, and wait for its end; gives the exit code."""
        assert self.process.stdout is not None
        if number is not None:
            self.process.send_signal(number)
        self.output += self.process.stdout.read()
        code = self.process.wait()
        assert self.errors() == ""
        return code

    def errors(self) -> str:
        """What it has written to stderr."""
        self._stderr.seek(0)
        return self._stderr.read()


QUICK = ("--period", 0.01, "--interval", 0.01)


def following(sink: FailingSink, state: Path, *more: object) -> Program:
    return Program("--to", sink.url, "--state", state, *more)


def numbered(*numbers: int) -> str:
    return "".join(f"{number}\n" for number in numbers)


def test_without_arguments_it_shows_what_it_does_and_verifies_it(tmp_path: Path) -> None:
    with Program() as ran:
        assert ran.ends() == 0, ran.output
    assert ran.output.count("lines are there, once, in their order") == 3
    for trouble in ("503", "500", "Remote end closed", "timed out"):
        assert f"does not take a batch: {trouble}" in ran.output


# Ctrl-C comes right after one of these calls, and again and again in whatever ends it then.
INTERRUPTED_AFTER = """
import os, runpy, signal, sys, tempfile, threadtree
from examples.log_forwarder import demonstration

def interrupting(call, before=b"", after=b""):
    def interrupt(*args, **kwargs):
        for number in before:
            os.kill(os.getpid(), number)
        result = call(*args, **kwargs)
        for number in after:
            os.kill(os.getpid(), number)
        return result
    return interrupt

again = (signal.SIGINT, signal.SIGTERM, signal.SIGINT)
threadtree.Worker.join = interrupting(threadtree.Worker.join, before=again)
tempfile.TemporaryDirectory.cleanup = interrupting(tempfile.TemporaryDirectory.cleanup, again)
demonstration.LINES, demonstration.ROTATIONS = 2, 0
demonstration.{0} = interrupting(demonstration.{0}, after=again[:1])
runpy.run_module("examples.log_forwarder", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("call", ["create_worker", "Forwarder", "join_all_threads"])
def test_ctrl_c_at_any_moment_of_what_it_shows_ends_it_in_order(tmp_path: Path, call: str) -> None:
    launcher = INTERRUPTED_AFTER.format(call)
    with Program(launcher=launcher, TMPDIR=str(tmp_path)) as ran:
        assert ran.ends() == 130
    assert [*tmp_path.glob("log_forwarder-*")] == []
    assert "refused" not in ran.output  # the sink ends behind the forwarder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_ships_what_is_there(log: Path, state: Path, number: int) -> None:
    write(log, "one\n")
    with FailingSink() as sink, following(sink, state, log, *QUICK) as ran:
        sink.wait_for("one")
        write(log, "two\nand the rest")
        assert ran.ends(number) == 0, ran.output
    assert sink.texts(log) == ["one", "two", "and the rest"]
    assert "shipped 3 lines" in ran.output


def test_a_sink_that_fails_at_the_end_still_gets_each_line_once(log: Path, state: Path) -> None:
    write(log, numbered(*range(100)))
    with FailingSink(sinks.good, *sinks.TROUBLES, sinks.good, *sinks.TROUBLES) as sink:
        options = ("--batch", 30, "--timeout", 0.1, "--grace", LIMIT)
        with following(sink, state, log, *QUICK, *options) as ran:
            sink.wait_for_requests(2)  # it is in trouble
            write(log, numbered(*range(100, 120)))
            assert ran.ends(signal.SIGTERM) == 0, ran.output
    assert sink.texts(log) == numbered(*range(120)).split()


def test_rotations_lose_nothing_and_repeat_nothing(tmp_path: Path, log: Path, state: Path) -> None:
    other = tmp_path / "other.log"
    troubles = [sinks.hang_up_after_storing, sinks.refuse_before_storing]
    with FailingSink(*troubles) as sink, following(sink, state, log, other, *QUICK) as ran:
        write(log, numbered(0, 1))
        write(other, numbered(0, 1))
        sink.wait_for("0", "1")
        old = log.open("a")
        with old:
            os.rename(log, log.with_name("app.log.1"))
            write(log, numbered(3))
            sink.wait_for("3")
            old.write(numbered(2))  # this writer has not noticed
            old.flush()
            sink.wait_for("2")
        for start in (4, 6, 8):
            other.write_text(numbered(start, start + 1))  # truncates it
            sink.wait_for(str(start), str(start + 1))
        assert ran.ends(signal.SIGTERM) == 0
    assert sink.texts(log) == ["0", "1", "3", "2"]
    assert sink.texts(other) == [*"01456789"]


def test_a_kill_at_the_worst_moment_loses_nothing_and_repeats_nothing(
    log: Path, state: Path
) -> None:
    write(log, numbered(0, 1))
    with FailingSink(sinks.good, sinks.stall_after_storing) as sink:
        with following(sink, state, log, *QUICK, "--timeout", 3600) as ran:
            sink.wait_for("1")
            write(log, numbered(2, 3))
            sink.stalling.wait()  # it has the batch, and the forwarder will never know
            assert ran.ends(signal.SIGKILL) == -signal.SIGKILL
        os.rename(log, log.with_name("app.log.1"))
        write(log.with_name("app.log.1"), numbered(4))
        write(log, numbered(5))
        with following(sink, state, log, *QUICK) as ran:
            sink.wait_for("4", "5")
            assert ran.ends(signal.SIGTERM) == 0
    assert sink.texts(log) == [*"012345"]


def test_what_the_sink_does_not_take_in_time_is_for_the_next_run(log: Path, state: Path) -> None:
    write(log, numbered(*range(50)))
    with FailingSink(sinks.good) as sink:
        sink.always = sinks.refuse_before_storing
        options = (*QUICK, "--batch", 5, "--grace", 0.2)
        with following(sink, state, log, *options) as ran:
            ran.says("500")
            assert ran.ends(signal.SIGTERM) == 1
            assert "what is left is for the next run" in ran.output
        assert sink.texts(log) == numbered(*range(5)).split()
        sink.always = sinks.good
        with following(sink, state, log, *QUICK) as ran:
            sink.wait_for("49")
            assert ran.ends(signal.SIGTERM) == 0
    assert sink.texts(log) == numbered(*range(50)).split()


def test_a_second_ctrl_c_gives_up(log: Path, state: Path) -> None:
    write(log, numbered(0))
    with FailingSink() as sink:
        sink.always = sinks.stall_after_storing
        options = (*QUICK, "--timeout", 3600, "--grace", 3600)
        with following(sink, state, log, *options) as ran:
            ran.says("following 1 file")
            sink.stalling.wait()
            ran.process.send_signal(signal.SIGINT)
            ran.says("ending")
            ran.process.send_signal(signal.SIGINT)
            ran.says("what is left is for the next run")
            assert ran.process.wait() == 130
            assert "is still running" in ran.errors()
        sink.always = sinks.good
        with following(sink, state, log, *QUICK) as ran:
            sink.wait_for_requests(2)
            assert ran.ends(signal.SIGTERM) == 0
    assert sink.texts(log) == ["0"]


def test_a_file_that_cannot_be_read_ends_it_with_what_is_there_shipped(
    tmp_path: Path, log: Path, state: Path
) -> None:
    write(log, "one\n")
    folder = tmp_path / "folder"
    with FailingSink() as sink, following(sink, state, log, folder, *QUICK) as ran:
        sink.wait_for("one")
        folder.mkdir()
        assert ran.ends() == 1
    assert "IsADirectoryError" in ran.output
    assert sink.texts(log) == ["one"]


def test_a_state_that_cannot_be_written_ends_it(log: Path, state: Path) -> None:
    with FailingSink() as sink, following(sink, state, log, *QUICK) as ran:
        ran.says("following 1 file")
        state.parent.rename(state.parent.with_name("away"))
        write(log, "one\n")
        assert ran.ends() == 1
    assert "FileNotFoundError" in ran.output
    assert sink.ids == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", "http://localhost/"],
        ["a.log"],
        ["a.log", "--to", "http://localhost/"],
        ["a.log", "--to", "ftp://localhost/", "--state", "state"],
        ["a.log", "--to", "http:///", "--state", "state"],
        [str(ROOT), "--to", "http://localhost/", "--state", "state"],
        ["a.log", "--to", "http://localhost/", "--state", "no/such/directory/state"],
        ["a.log", "--batch", "0"],
        ["a.log", "--batch", "1.5"],
        ["a.log", "--interval", "0"],
        ["a.log", "--period", "nan"],
        ["a.log", "--linger", "-1"],
        ["a.log", "--timeout", "inf"],
        ["a.log", "--grace", "long"],
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        program.main(arguments)
    assert exit.value.code == 2
    assert "error: " in capsys.readouterr().err
