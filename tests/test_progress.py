"""The live picture of the tree, on a terminal that can be looked at, and as lines."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import threadtree
from tests.helpers import LIMIT, Flag, hectic_switching, in_threads
from threadtree import Task, Worker, WorkerManager, get_current_worker, logs, node, progress, sleep
from threadtree.redirects import following_handlers

pyte = pytest.importorskip("pyte")
rich_console = pytest.importorskip("rich.console")

WIDTH, HEIGHT = 80, 24


def boom():
    raise ValueError("no such file")


class Watched(io.StringIO):
    """A file that says when a text has been written to it."""

    def __init__(self):
        super().__init__()
        self.text, self.seen = None, Flag()

    def watch_for(self, text):
        self.text = text

    def write(self, text):
        written = super().write(text)
        if self.text is not None and self.text in text:
            self.seen.set()
        return written


def file_console(**options):
    file = Watched()
    return rich_console.Console(file=file, width=WIDTH, **options), file


def lines_of(work):
    """What is written, without the times, where there is no terminal."""
    console, file = file_console()
    with progress.show(console=console, interval=0):
        work()
    return [line.split(" after ")[0] for line in file.getvalue().splitlines()]


def screen_of(data, height=HEIGHT):
    """What a terminal shows of it."""
    screen = pyte.Screen(WIDTH, height)
    pyte.ByteStream(screen).feed(data)
    return [line.rstrip() for line in screen.display if line.strip()]


def picture_of(work, height=HEIGHT):
    """The last picture on a terminal."""
    console, file = file_console(height=height, force_terminal=True, legacy_windows=False)
    with progress.show(console=console, interval=0):
        work()
    return screen_of(file.getvalue().replace("\n", "\r\n").encode(), height)


# -- lines ----------------------------------------------------------------------------------------


def test_without_a_terminal_each_start_and_end_is_a_line():
    def work():
        Worker(int, name="one", parent=False).start().join()
        failed = Task(boom, name="two", parent=False).start().join()
        assert failed.error
        Task(sleep, name="three", parent=False).cancel()

    assert lines_of(work) == [
        "one: RUNNING",
        "one: SUCCESS",
        "two: RUNNING",
        "two: ERROR",
        "three: CANCELLED",
    ]


def test_an_error_is_in_its_line():
    console, file = file_console()
    with progress.show(console=console):
        assert Task(boom, parent=False).start().join().error
    assert file.getvalue().endswith(": ValueError: no such file\n")


def test_tenths_of_a_total_are_lines():
    def count():
        me = get_current_worker()
        me.progress_interval = 3600
        for _ in range(35):
            me.advance()
        me._tell_progress()
        me._tell_progress()
        me.advance(60)

    task = Task(count, total_steps=100, name="n", parent=False)
    assert lines_of(lambda: task.start().get(LIMIT)) == [
        "n: RUNNING",
        "n: 35 %",
        "n: 95 %",
        "n: SUCCESS",
    ]


def test_only_what_is_asked_for_is_shown():
    console, file = file_console()
    boss = Worker(lambda: Task(int, name="below").start().get(), name="boss", parent=False)
    with progress.show(console=console, nodes=[boss]):
        Worker(int, name="other", parent=False).start().join()
        boss.start().join()
    said = file.getvalue()
    assert "boss: RUNNING" in said
    assert "boss/below: SUCCESS" in said
    assert "other" not in said


def test_no_change_is_lost_while_many_threads_make_some():
    console, file = file_console()
    with progress.show(console=console, interval=0), hectic_switching():

        def work():
            for _ in range(25):
                Worker(int, name="w", parent=False).start().join()

        in_threads(*[work] * 4)
    said = file.getvalue().splitlines()
    assert sum(line == "w: RUNNING" for line in said) == 100
    assert sum(line.startswith("w: SUCCESS") for line in said) == 100


# -- on a terminal --------------------------------------------------------------------------------


def test_the_last_picture_shows_final_states_and_errors():
    def work():
        with WorkerManager(on_error=lambda error: None, parent=False) as tasks:
            tasks.run(int, name="well")
            tasks.run(boom, name="ill")

    picture = picture_of(work)
    assert sorted(line.split()[:2] for line in picture) == [["ill", "ERROR"], ["well", "SUCCESS"]]
    assert any("ValueError: no such file" in line for line in picture)


def test_what_has_ended_is_folded_and_a_parent_tells_how_many_failed():
    def many():
        with WorkerManager(on_error=lambda error: None) as tasks:
            for number in range(9):
                tasks.run(boom if number == 3 else int, name=f"file-{number}")

    picture = picture_of(lambda: Task(many, name="all", parent=False).start().get(LIMIT))
    assert len(picture) == 1
    assert picture[0].startswith("all  SUCCESS")
    assert "1 of 9 failed" in picture[0]


def test_running_work_is_a_tree_with_states_bars_and_times():
    halfway, ended, go = Flag(), Flag(), Flag()

    def leaf():
        get_current_worker().update(5, 10)
        halfway.set()
        go.wait()

    def boss():
        Task(leaf, name="leaf").start()
        halfway.wait()
        for _ in range(5):
            Task(int, name="done").start().get()
        ended.set()
        go.wait()

    console, file = file_console(height=HEIGHT, force_terminal=True, legacy_windows=False)
    file.watch_for("2 more ended")
    task = Task(boss, name="boss", parent=False)
    with progress.show(console=console, interval=0):
        task.start()
        ended.wait()
        file.seen.wait()  # the painter is another thread
        picture = screen_of(file.getvalue().replace("\n", "\r\n").encode())
        go.set()
        task.get(LIMIT)
    assert picture[0].startswith("boss")
    assert "RUNNING" in picture[0]
    assert any(line.startswith("  leaf") and "━" in line for line in picture)
    assert [line.split()[0] for line in picture].count("done") == 3


def test_no_more_is_drawn_than_the_terminal_has_room_for():
    go, begun = Flag(), Flag()

    def work():
        tasks = [Task(go.wait, name=f"t{n}", parent=False).start() for n in range(60)]
        begun.set()
        go.set()
        for task in tasks:
            task.get(LIMIT)

    assert len(picture_of(work, height=10)) <= 10


def test_an_idle_picture_is_not_drawn_again(monkeypatch):
    drawn = []
    monkeypatch.setattr(progress._Live, "draw", lambda self: drawn.append(1))
    console, _ = file_console(force_terminal=True)
    with progress.show(console=console, interval=0):
        sleep(0.05)
    assert len(drawn) <= 3  # the first, perhaps one for the first, and the last


def test_what_the_program_prints_and_logs_meanwhile_is_not_lost():
    program = """
        import logging, threadtree
        from threadtree import *
        from threadtree import progress
        logging.basicConfig(format="%(message)s")
        def work():
            for step in range(30):
                get_current_worker().update(step, 30)
                print("printed", step)
                logging.warning("logged %d", step)
                sleep(0.001)
        with progress.show(interval=0.002):
            Task(work, name="worker").start().get()
    """
    said = screen_of(on_a_terminal(program), height=100)
    for step in range(30):
        assert f"printed {step}" in said
        assert f"logged {step}" in said
    assert said[-1].startswith("worker  SUCCESS")


def test_a_handler_that_was_moved_off_the_threads_that_log_writes_above_the_picture():
    log, handler = logging.getLogger("moved"), logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    try:
        with logs.move_off_threads(log):
            with following_handlers():
                assert handler.stream is not sys.stderr
            assert handler.stream is sys.stderr
    finally:
        log.removeHandler(handler)


def test_l6_ctrl_c_leaves_the_terminal_as_it_was_and_a_true_picture():
    program = """
        import os, signal
        from threadtree import *
        from threadtree import progress
        def work():
            os.kill(os.getpid(), signal.SIGINT)
            wait_forever()
        with progress.show():
            Task(work, name="worker").start().get()
    """
    data = on_a_terminal(program)
    assert b"\x1b[?25h" in data  # the cursor is back
    assert b"KeyboardInterrupt" in data


def on_a_terminal(program):
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {
        "PYTHONPATH": str(Path(threadtree.__file__).parents[1]),
        "TERM": "xterm",
        "COLUMNS": str(WIDTH),
        "LINES": str(HEIGHT),
    }
    command = [sys.executable, "-c", dedent(program)]
    data = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # as Linux says that the other end is closed
                break
            if not piece:
                break
            data += piece
        process.wait(LIMIT)
    os.close(ours)
    return data


# -- watchers -------------------------------------------------------------------------------------


def test_a_watcher_hears_of_starts_and_ends_and_its_errors_are_logged(caplog):
    heard = []

    def watch(which, life):
        heard.append((which, life.state.name))
        raise KeyError

    node.tree.watchers[watch] = watch
    try:
        worker = Worker(int, parent=False).start().join()
    finally:
        del node.tree.watchers[watch]
    assert heard == [(worker, "RUNNING"), (worker, "SUCCESS")]
    assert worker.state.name == "SUCCESS"
    assert len(caplog.records) == 2


def test_without_rich_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install threadtree\[rich\]"):
        progress.show().__enter__()


def test_bad_input_is_a_clear_error():
    with pytest.raises(ValueError, match="NaN"), progress.show(interval=float("nan")):
        pass
