"""Process: a program as a node of the tree, that leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys

import pytest

import threadtree
from threadtree import (
    PLEASE_STOP,
    Process,
    ProcessFailed,
    QueueClosed,
    Thread,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerState,
    graces,
    pipes,
    tree,
)

from .helpers import LIMIT, Flag, hectic_switching, in_threads
from .programs import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs the process groups of POSIX")


@pytest.fixture(autouse=True)
def short_graces(monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE", 0.05)
    before = graces.told
    graces.told = 0.2
    yield
    graces.told = before


def shell(line, name="program", **options):
    return Process(name, line, shell=True, **options)


def python(code, name="program", **options):
    return Process(name, [sys.executable, "-c", code], **options)


def has_been_reaped(process):
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


class Witness:
    """Sees the end of whatever has opened it: a named pipe, which ends with its last writer."""

    def __init__(self, tmp_path):
        self.path = tmp_path / "witness"
        os.mkfifo(self.path)

    def wait_for_the_end_of_all(self, when_open):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            when_open()
            assert os.read(fd, 1) == b""  # blocks as long as anybody has it
        finally:
            os.close(fd)


# -- lines -----------------------------------------------------------------------------------------


def test_what_a_program_writes_comes_as_lines_without_newlines():
    process = shell("echo one; echo; printf three; echo error >&2")
    assert list(process.stdout) == ["one", "", "three"]
    assert list(process.stderr) == ["error"]
    assert process.join(LIMIT) is process
    assert process.returncode == 0
    assert process.state is WorkerState.SUCCESS
    has_been_reaped(process)


def test_the_lines_are_there_after_the_end_too():
    process = shell("echo one; echo two").join(LIMIT)
    assert process.stdout.pop() == "one"
    assert process.stdout.pop_all() == ["two"]
    assert process.stdout.pop() is PLEASE_STOP


def test_a_program_reads_the_lines_of_stdin_until_it_is_closed():
    process = Process("cat", ["cat"])
    process.stdin.add("häuser").extend(["", "b"]).close()
    assert list(process.stdout) == ["häuser", "", "b"]
    process.join(LIMIT)


def test_a_dialogue_is_possible():
    process = Process("cat", ["cat"])
    for word in ("this", "that"):
        process.stdin.add(word)
        assert process.stdout.pop(LIMIT) == word
    process.stdin.close()
    process.join(LIMIT)


def test_a_large_input_does_not_wait_for_the_output_to_be_read():
    process = Process("cat", ["cat"])
    process.stdin.extend(str(number) for number in range(100_000)).close()
    assert list(process.stdout) == [str(number) for number in range(100_000)]
    process.join(LIMIT)


def test_a_line_larger_than_any_pipe_goes_in_whole_and_comes_out_in_parts():
    process = Process("cat", ["cat"])
    process.stdin.add("x" * 3_000_000).close()
    parts = list(process.stdout)
    assert "".join(parts) == "x" * 3_000_000
    assert 1 < len(parts) <= 3
    process.join(LIMIT)


def test_what_is_no_text_is_replaced_and_windows_newlines_are_newlines():
    process = shell(r"printf 'a\377b\r\nc\rd\n\303'").join(LIMIT)
    assert list(process.stdout) == ["a\ufffdb", "c\rd", "\ufffd"]


def test_stdin_is_closed_when_nobody_reads_it_any_more():
    process = shell("exec <&-; echo closed; exec sleep 60")
    assert process.stdin.closed.wait(LIMIT)
    with pytest.raises(QueueClosed):
        process.stdin.add("too late")
    process.stop().join(LIMIT, raise_on_error=False)


@pytest.mark.parametrize("item", [b"bytes", 1, None])
def test_only_strings_can_be_read_by_a_program(item):
    process = Process("cat", ["cat"])
    with pytest.raises(TypeError, match="strings"):
        process.stdin.add(item)
    process.stop().join(LIMIT, raise_on_error=False)


def test_it_runs_in_its_directory_and_environment(tmp_path):
    process = shell("pwd; echo $COLOUR", cwd=tmp_path, env={"COLOUR": "red"}).join(LIMIT)
    assert list(process.stdout) == [os.path.realpath(tmp_path), "red"]


def test_a_list_is_quoted_for_the_shell():
    process = shell(["echo", "$HOME;  two"]).join(LIMIT)
    assert list(process.stdout) == ["$HOME;  two"]


# -- how it comes out ------------------------------------------------------------------------------


def test_join_raises_the_code_and_the_last_lines_of_stderr():
    process = shell("for i in 1 2 3; do echo error $i >&2; done; exit 3")
    with pytest.raises(ProcessFailed, match="returned 3\nerror 1\nerror 2\nerror 3") as raised:
        process.join(LIMIT)
    assert isinstance(raised.value, WorkerError)
    assert raised.value.returncode == process.returncode == 3
    assert raised.value.stderr == ["error 1", "error 2", "error 3"]
    assert process.state is WorkerState.ERROR
    assert process.join(raise_on_error=False) is process


def test_a_program_that_a_signal_has_ended_says_so():
    process = shell("kill -KILL $$")
    with pytest.raises(ProcessFailed, match="SIGKILL"):
        process.join(LIMIT)
    assert process.returncode == -signal.SIGKILL


def test_a_failure_that_nobody_looks_at_is_logged_once(caplog):
    with Worker(name="parent", parent=False) as parent:
        process = shell("exit 3", parent_thread=parent)
        process.stopped.wait(LIMIT)
        del process
    assert caplog.text.count("it returned 3") == 1


def test_to_look_at_the_code_is_to_have_seen_the_failure(caplog):
    process = shell("exit 3")
    process.stopped.wait(LIMIT)
    assert process.returncode == 3
    del process
    assert caplog.text == ""


def test_what_cannot_be_run_raises_at_once_and_leaves_nothing():
    with pytest.raises(FileNotFoundError):
        Process("missing", ["/no/such/program"])
    with pytest.raises(FileNotFoundError):
        Process("nowhere", ["true"], cwd="/no/such/directory")
    assert "missing" not in tree()


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((1, ["true"]), {}, TypeError),
        (("name", 1), {}, TypeError),
        (("name", [1]), {}, TypeError),
        (("name", ["true"]), {"timeout": "soon"}, TypeError),
        (("name", ["true"]), {"timeout": float("nan")}, ValueError),
        (("name", ["true"]), {"parent_thread": "main"}, TypeError),
    ],
)
def test_bad_input_raises_at_once(arguments, options, error):
    with pytest.raises(error):
        Process(*arguments, **options)


def test_a_program_whose_time_is_over_is_ended_and_join_says_so():
    process = Process("slow", ["sleep", "60"], timeout=0.05)
    with pytest.raises(ProcessFailed, match="its time was over") as raised:
        process.join(LIMIT)
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert process.returncode == -signal.SIGTERM


def test_join_gives_up_when_till_comes():
    process = Process("slow", ["sleep", "60"])
    with pytest.raises(TimeoutError):
        process.join(till=0.01)
    assert process.is_running()
    assert process.returncode is None
    with pytest.raises(WorkerCancelled):
        process.stop().join(LIMIT)


def test_a_process_runs_once():
    process = shell("read line")
    assert process.start() is process
    process.stdin.add("")
    process.join(LIMIT)
    with pytest.raises(WorkerError, match="only once"):
        process.start()


def test_run_makes_one_as_for_a_thread():
    assert Process.run("true", ["true"]).join(LIMIT).returncode == 0


def test_a_with_block_joins_and_an_error_in_it_stops():
    with shell("echo here") as process:
        assert process.stdout.pop(LIMIT) == "here"
    assert process.stopped
    with pytest.raises(KeyError), Process("slow", ["sleep", "60"]) as slow:
        raise KeyError
    assert slow.state is WorkerState.CANCELLED
    with pytest.raises(ProcessFailed), shell("exit 3"):
        pass


def test_it_can_be_awaited():
    async def wait_for_it():
        return (await shell("echo done")).stdout.pop_all()

    assert asyncio.run(wait_for_it()) == ["done"]


def test_many_can_be_joined_at_once():
    processes = [shell(f"exit {number % 2}") for number in range(4)]
    with pytest.raises(ExceptionGroup) as raised:
        threadtree.join_all_threads(processes, LIMIT)
    assert len(raised.value.exceptions) == 2


# -- its end ---------------------------------------------------------------------------------------


def test_a_stop_ends_the_whole_group(tmp_path):
    witness = Witness(tmp_path)
    process = shell(f"(exec 3>{witness.path}; exec sleep 60) & wait")
    witness.wait_for_the_end_of_all(lambda: process.stop().join(LIMIT, raise_on_error=False))
    assert process.state is WorkerState.CANCELLED
    assert process.returncode == -signal.SIGTERM
    has_been_reaped(process)


def test_a_program_may_end_in_its_own_way_when_asked():
    process = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    assert process.stdout.pop(LIMIT) == "ready"
    process.stop().join(LIMIT)
    assert list(process.stdout) == ["bye"]
    assert process.state is WorkerState.SUCCESS


def test_a_program_that_does_not_heed_sigterm_is_killed_with_its_group(tmp_path):
    witness = Witness(tmp_path)
    process = shell(f"trap '' TERM; exec 3>{witness.path}; sleep 60 & sleep 60 & echo on; wait")

    def stop():
        assert process.stdout.pop(LIMIT) == "on"
        process.stop().join(LIMIT, raise_on_error=False)

    witness.wait_for_the_end_of_all(stop)
    assert process.returncode == -signal.SIGKILL
    has_been_reaped(process)


def test_what_a_program_leaves_behind_may_write_on_for_a_while():
    graces.told = LIMIT
    process = shell("(sleep 0.1; echo late) & echo early").join(LIMIT)
    assert list(process.stdout) == ["early", "late"]


def test_what_a_program_leaves_behind_is_ended(tmp_path):
    witness = Witness(tmp_path)
    process = shell(f"exec 3>{witness.path}; sleep 60 & echo done")
    witness.wait_for_the_end_of_all(lambda: process.join(LIMIT))
    assert list(process.stdout) == ["done"]
    assert process.returncode == 0


def test_what_it_leaves_behind_is_ended_though_it_has_no_pipe_of_ours_and_no_ear(tmp_path):
    witness = Witness(tmp_path)
    process = shell(f"trap '' TERM; exec 3>{witness.path}; sleep 60 </dev/null >/dev/null 2>&1 &")
    witness.wait_for_the_end_of_all(lambda: process.join(LIMIT))


def test_a_daemon_that_holds_the_pipes_is_not_waited_for():
    process = python(
        "import subprocess\n"
        "daemon = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(daemon.pid, flush=True)\n"
        "daemon.returncode = 0"
    ).join(LIMIT)
    os.kill(int(process.stdout.pop()), signal.SIGKILL)  # it lives on, in a group of its own
    assert process.stdout.pop() is PLEASE_STOP


def test_a_program_that_closes_its_output_is_still_waited_for_and_fed():
    process = shell("exec >&- 2>&-; read line; exit $line")
    assert process.stdout.pop(LIMIT) is PLEASE_STOP
    assert process.stderr.pop(LIMIT) is PLEASE_STOP
    process.stdin.add("5")
    assert process.join(LIMIT, raise_on_error=False).returncode == 5


def test_it_ends_with_its_parent():
    def parent(please_stop):
        return Process("child", ["sleep", "60"])

    process = Thread.run("parent", parent).join(LIMIT)
    assert process.stopped
    assert process.state is WorkerState.CANCELLED


def test_a_parent_that_is_asked_to_end_asks_it():
    began = Flag()

    def parent(please_stop):
        process = Process("child", ["sleep", "60"])
        began.set()
        return process.join(raise_on_error=False)

    thread = Thread.run("parent", parent)
    began.wait()
    assert thread.stop().join(LIMIT).state is WorkerState.CANCELLED


def test_made_by_a_parent_that_was_asked_to_end_it_is_ended():
    def parent(please_stop):
        please_stop.wait()
        return Process("late", ["sleep", "60"]).join(raise_on_error=False)

    assert Thread.run("parent", parent).stop().join(LIMIT).state is WorkerState.CANCELLED


def test_it_is_in_the_tree_and_so_are_its_threads():
    process = shell("read line")
    assert process in threadtree.current().children
    assert "  program: RUNNING\n    pipes: RUNNING\n    exit: RUNNING" in tree()
    process.stdin.add("")
    process.join(LIMIT)
    assert "program" not in tree()


def test_a_shutdown_ends_it():
    process = Process("slow", ["sleep", "60"])
    assert threadtree.shutdown() == []
    assert process.state is WorkerState.CANCELLED


def test_told_to_end_at_once_it_is_killed():
    process = shell("trap '' TERM; echo on; while :; do sleep 60; done")
    assert process.stdout.pop(LIMIT) == "on"
    graces.told = LIMIT  # so that it is the shutdown's word that kills it
    assert threadtree.shutdown(grace=0) == []
    assert process.stopped
    assert process.state is WorkerState.CANCELLED
    has_been_reaped(process)


def test_stopped_from_everywhere_at_the_moment_of_its_end_it_ends_once():
    for _ in range(20):
        process = Process("true", ["true"])
        with hectic_switching():
            in_threads(process.stop, process.stop, lambda p=process: p.join(LIMIT, False))
        assert process.state in (WorkerState.SUCCESS, WorkerState.CANCELLED)
        has_been_reaped(process)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="cannot count open files")
def test_a_process_that_has_ended_holds_no_file():
    gc.collect()  # what other tests have left
    before = len(os.listdir("/proc/self/fd"))
    kept = [shell("echo; sleep 60 &").join(LIMIT) for _ in range(3)]
    kept += [shell("exit 3").join(LIMIT, False) for _ in range(3)]
    kept += [Process("slow", ["sleep", "60"]).stop().join(LIMIT, False) for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(process.stopped for process in kept)


# -- floods ----------------------------------------------------------------------------------------


def test_a_flood_that_nobody_reads_does_not_hang_join_and_the_newest_lines_are_kept(caplog):
    process = shell("i=0; yes 0123456789 | head -n 1000000; echo last").join(LIMIT)
    assert len(process.stdout) <= pipes.MAX_LINES
    assert process.stdout.pop_all()[-1] == "last"
    assert "made room" in caplog.text


def test_a_flood_without_an_end_of_line_does_not_eat_memory():
    process = shell("head -c 100000000 /dev/zero; echo; echo last").join(LIMIT)
    lines = process.stdout.pop_all()
    assert sum(map(len, lines)) < 2 * pipes.MAX_CHARACTERS
    assert lines[-1] == "last"


def test_a_program_waits_for_its_reader_and_no_line_is_lost():
    process = shell("yes | head -n 100000")
    assert not process.stopped.wait(0.2)  # nobody reads, nobody joins: as at any pipe
    assert len(process.stdout) < pipes.MAX_LINES + pipes.CHUNK
    assert sum(1 for _ in process.stdout) == 100_000
    process.join(LIMIT)
    assert process.stdout.dropped == 0


def test_a_reader_loses_no_line_when_another_thread_joins(monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE", 0.0)
    has_begun = Flag()

    def read(please_stop):
        count = 0
        for _ in process.stdout:
            has_begun.set()
            count += 1
        return count

    process = shell("yes | head -n 100000")
    reader = Thread.run("reader", read)
    has_begun.wait()
    process.join(LIMIT)
    assert reader.join(LIMIT) == 100_000


def test_who_has_read_and_then_joins_reads_no_more():
    process = shell("yes | head -n 100000")
    assert process.stdout.pop(LIMIT) == "y"
    process.join(LIMIT)
    assert process.stdout.dropped > 0


def test_a_flood_can_be_stopped():
    process = Process("yes", ["yes"])
    assert process.stdout.pop(LIMIT) == "y"
    process.stop().join(LIMIT, raise_on_error=False)
    assert process.returncode == -signal.SIGTERM


def test_a_closed_queue_lets_the_program_write_on():
    process = shell("yes | head -n 1000000")
    process.stdout.close()
    assert process.stopped.wait(LIMIT)
    process.join()


# -- the exit --------------------------------------------------------------------------------------

REPORT = """
import subprocess
line = "trap 'echo cleaned up >&2; exit 0' TERM; echo on; while :; do sleep 0.01; done"
process = Process("program", line, shell=True)
process.stdout.pop()
say(process.pid)
"""


def assert_gone(pid):
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_it_ends_with_the_main_thread():
    ended = run(REPORT)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_gone(ended.lines[0])


def test_ctrl_c_ends_it():
    ended = run(REPORT + "ask()\nprocess.join()")
    assert ended.returncode == -signal.SIGINT
    assert_gone(ended.lines[0])


def test_an_error_of_the_main_thread_ends_it_and_keeps_the_exit_code():
    ended = run(REPORT + "sys.exit(7)")
    assert (ended.returncode, ended.stderr) == (7, "")
    assert_gone(ended.lines[0])


def test_a_program_that_ignores_everything_does_not_hang_the_exit():
    ended = run("""
    process = Process("deaf", "trap '' TERM INT; echo on; while :; do sleep 60; done", shell=True)
    process.stdout.pop()
    say(process.pid)
    """)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_gone(ended.lines[0])


def test_importing_us_does_not_import_subprocess():
    program = "import sys, threadtree; sys.exit('subprocess' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
