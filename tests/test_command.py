"""Command: as a Process, but in a shell that is kept for the next."""

from __future__ import annotations

import gc
import os
import signal
import tempfile

import pytest

import threadtree
from threadtree import (
    PLEASE_STOP,
    Command,
    ProcessFailed,
    Thread,
    WorkerCancelled,
    WorkerState,
    commands,
    graces,
    pipes,
    tree,
)

from .helpers import LIMIT, Flag, hectic_switching, in_threads
from .programs import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a shell of POSIX")


@pytest.fixture(autouse=True)
def no_idle_shells(monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE", 0.05)
    before = graces.told
    graces.told = 0.2
    yield
    graces.told = before
    assert threadtree.shutdown() == []
    assert not commands._idle


def output(line, **options):
    return list(Command("command", line, **options).join(LIMIT).stdout)


def shell_of(**options):
    """The number of the shell that runs a command."""
    return output("echo $$", **options)


# -- what comes of it ------------------------------------------------------------------------------


def test_what_a_command_writes_comes_as_lines():
    command = Command("command", "echo one; echo; printf two; echo error >&2")
    assert list(command.stdout) == ["one", "", "two"]
    assert list(command.stderr) == ["error"]
    assert command.join(LIMIT) is command
    assert command.returncode == 0
    assert command.state is WorkerState.SUCCESS


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        (r"\n", [""]),
        (r"\n\n", ["", ""]),
        ("a", ["a"]),
        (r"a\n", ["a"]),
        (r"a\n\n", ["a", ""]),
        (r"\na", ["", "a"]),
    ],
)
def test_the_mark_of_the_end_changes_no_line(text, lines):
    command = Command("command", f"printf '{text}'; printf '{text}' >&2").join(LIMIT)
    assert (list(command.stdout), list(command.stderr)) == (lines, lines)


def test_a_list_is_a_program_and_its_arguments():
    assert output(["echo", "$HOME; exit 3", "it's"]) == ["$HOME; exit 3 it's"]


def test_join_raises_the_code_and_the_last_lines_of_stderr():
    command = Command("command", "echo wrong >&2; exit 7")
    with pytest.raises(ProcessFailed, match="returned 7\nwrong") as raised:
        command.join(LIMIT)
    assert raised.value.returncode == command.returncode == 7
    assert command.join(raise_on_error=False) is command
    assert command.state is WorkerState.ERROR


@pytest.mark.parametrize("line", ["echo 'open", "(", "if true", "cat <<END", "echo \\", "}; echo"])
def test_a_line_that_is_not_whole_does_no_harm_to_the_next(line):
    Command("broken", line).join(LIMIT, raise_on_error=False)
    assert output("echo fine") == ["fine"]


def test_a_command_has_no_input():
    assert output("cat; echo end") == ["end"]


def test_a_command_that_kills_its_shell_tells_so():
    command = Command("command", "echo before; kill -KILL $$").join(LIMIT, raise_on_error=False)
    assert command.returncode == -signal.SIGKILL
    assert command.state is WorkerState.ERROR
    assert list(command.stdout) == ["before"]
    assert output("echo fine") == ["fine"]


def test_it_runs_in_its_directory_and_environment(tmp_path):
    lines = output("pwd; echo $COLOUR", cwd=tmp_path, env={"COLOUR": "red"})
    assert lines == [os.path.realpath(tmp_path), "red"]


def test_a_directory_that_is_not_there_raises_at_once():
    with pytest.raises(FileNotFoundError):
        Command("nowhere", "true", cwd="/no/such/directory")


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((1, "true"), {}, TypeError),
        (("name", 1), {}, TypeError),
        (("name", ["true", 1]), {}, TypeError),
        (("name", "true"), {"timeout": "soon"}, TypeError),
        (("name", "true"), {"env": {"A": 1}}, TypeError),
        (("name", "true"), {"parent_thread": "main"}, TypeError),
    ],
)
def test_bad_input_raises_at_once(arguments, options, error):
    with pytest.raises(error):
        Command(*arguments, **options)


# -- the shell is kept -----------------------------------------------------------------------------


def test_the_next_command_uses_the_same_shell():
    assert shell_of() == shell_of() == shell_of()


def test_directories_and_environments_have_shells_of_their_own(tmp_path, monkeypatch):
    here, there = shell_of(), shell_of(cwd=tmp_path)
    red = shell_of(env={"COLOUR": "red"})
    assert len({*here, *there, *red}) == 3
    assert shell_of(cwd=tmp_path) == there
    assert shell_of(env={"COLOUR": "red"}) == red
    monkeypatch.setenv("COLOUR", "blue")  # our own environment counts as it is now
    assert output("echo $COLOUR") == ["blue"]
    assert shell_of() != here


def test_a_new_directory_of_an_old_name_has_a_new_shell(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    shell_of(cwd=place)
    place.rename(tmp_path / "old")
    place.mkdir()
    (place / "new").touch()
    assert output("ls", cwd=place) == ["new"]


@pytest.mark.parametrize(
    "line", ["cd /", "COLOUR=red", "exit 0", "set -e", "exec 2>&1", "alias ls=x"]
)
def test_a_command_changes_nothing_for_the_next(line):
    before = output("pwd; echo $COLOUR $-")
    Command("command", line).join(LIMIT)
    assert output("pwd; echo $COLOUR $-") == before


def test_two_at_once_have_two_shells():
    # Each goes on when the other has begun.
    with tempfile.TemporaryDirectory() as place:
        for name in ("a", "b"):
            os.mkfifo(os.path.join(place, name))
        first = Command("a", "echo $$; echo > a; cat b", cwd=place)
        second = Command("b", "echo $$; cat a; echo > b", cwd=place)
        pids = {first.join(LIMIT).stdout.pop(), second.join(LIMIT).stdout.pop()}
    assert len(pids) == 2


def test_many_threads_share_the_shells_and_each_gets_its_own_lines():
    def call(number):
        for turn in range(10):
            word = f"{number}-{turn}"
            assert output(f"echo {word}") == [word]

    with hectic_switching():
        in_threads(*(lambda n=number: call(n) for number in range(4)))
    assert len(commands._idle) <= 4


def test_an_idle_shell_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(commands, "IDLE_LIMIT", 0.05)
    Command("command", "true").join(LIMIT)
    shells = list(commands._idle)  # unless its time is over already
    assert all(shell.stopped.wait(LIMIT) for shell in shells)
    assert not commands._idle


def test_a_shell_that_dies_while_it_is_idle_is_replaced():
    (number,) = shell_of()
    (shell,) = commands._idle
    os.kill(int(number), signal.SIGKILL)
    assert shell.stopped.wait(LIMIT)
    assert not commands._idle
    assert shell_of() != [number]


def test_what_a_command_leaves_behind_is_ended_and_says_nothing_to_the_next(tmp_path):
    witness = tmp_path / "witness"
    os.mkfifo(witness)
    command = Command("command", f"exec 3>{witness}; (sleep 60; echo late) & echo early")
    fd = os.open(witness, os.O_RDONLY)
    assert os.read(fd, 1) == b""  # all that had it have ended
    os.close(fd)
    assert list(command.join(LIMIT).stdout) == ["early"]
    assert output("echo next") == ["next"]


# -- its end ---------------------------------------------------------------------------------------


def test_a_command_that_is_stopped_takes_its_shell_with_it():
    command = Command("slow", "echo $$; sleep 60")
    number = command.stdout.pop(LIMIT)
    with pytest.raises(WorkerCancelled):
        command.stop().join(LIMIT)
    assert command.state is WorkerState.CANCELLED
    assert command.stdout.pop() is PLEASE_STOP
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)
    assert shell_of() != [number]


def test_a_command_that_heeds_nothing_is_killed():
    command = Command("deaf", "trap '' TERM; echo on; while :; do sleep 60; done")
    assert command.stdout.pop(LIMIT) == "on"
    command.stop().join(LIMIT, raise_on_error=False)
    assert command.state is WorkerState.CANCELLED


def test_a_command_whose_time_is_over_is_ended_and_join_says_so():
    command = Command("slow", "sleep 60", timeout=0.05)
    with pytest.raises(ProcessFailed, match="its time was over") as raised:
        command.join(LIMIT)
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert not commands._idle


def test_join_gives_up_when_till_comes():
    command = Command("slow", "sleep 60")
    with pytest.raises(TimeoutError):
        command.join(till=0.01)
    command.stop().join(LIMIT, raise_on_error=False)


def test_it_ends_with_its_parent():
    began = Flag()

    def parent(please_stop):
        command = Command("child", "sleep 60")
        began.set()
        return command.join(raise_on_error=False)

    thread = Thread.run("parent", parent)
    began.wait()
    assert thread.stop().join(LIMIT).state is WorkerState.CANCELLED


def test_it_and_its_shell_are_in_the_tree():
    command = Command("slow", "echo on; sleep 60")
    command.stdout.pop(LIMIT)
    assert command in threadtree.current().children
    assert "slow: RUNNING" in tree()
    assert "shell in " in tree()
    command.stop().join(LIMIT, raise_on_error=False)


def test_a_shutdown_ends_commands_and_shells():
    Command("quick", "true").join(LIMIT)
    command = Command("slow", "echo on; sleep 60")
    command.stdout.pop(LIMIT)
    assert threadtree.shutdown() == []
    assert command.state is WorkerState.CANCELLED
    assert not commands._idle


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="cannot count open files")
def test_a_command_that_has_ended_holds_no_file():
    Command("first", "true").join(LIMIT)
    gc.collect()  # what other tests have left
    before = len(os.listdir("/proc/self/fd"))
    kept = [Command("quick", line).join(LIMIT, False) for line in ("true", "false", "exit 3")]
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(command.stopped for command in kept)


def test_a_flood_that_nobody_reads_does_not_hang_join():
    command = Command("flood", "yes | head -n 1000000; echo last").join(LIMIT)
    assert len(command.stdout) <= pipes.MAX_LINES
    assert command.stdout.pop_all()[-1] == "last"


def test_a_flood_that_is_read_loses_no_line():
    command = Command("flood", "yes | head -n 50000")
    assert sum(1 for _ in command.stdout) == 50_000
    command.join(LIMIT)


@pytest.mark.parametrize("end", ["", "sys.exit(7)", "ask(); slow.join()"])
def test_the_exit_ends_commands_and_shells(end):
    ended = run(f"""
    quick = Command("quick", "echo $$").join()
    slow = Command("slow", "echo $$; sleep 60")
    say(quick.stdout.pop())
    slow.stop() if not {end!r} else None
    say(slow.stdout.pop())
    {end}
    """)
    assert ended.returncode == {"": 0, "sys.exit(7)": 7}.get(end, -signal.SIGINT)
    for number in ended.lines:
        with pytest.raises((ProcessLookupError, ValueError)):
            os.kill(int(number), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_after_a_fork_the_child_has_shells_of_its_own():
    ended = run("""
    mine = Command("mine", "echo $$").join().stdout.pop()
    child = os.fork()
    if child == 0:
        assert not threadtree.commands._idle
        other = Command("other", "echo $$").join().stdout.pop()
        assert other != mine
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert Command("mine", "echo $$").join().stdout.pop() == mine
    """)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_name_of_a_file_that_is_no_utf_8_is_that_file(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path, "w") as file:
        file.write("hello")
    assert output(["cat", os.fsdecode(path)]) == ["hello"]


def test_a_nul_in_a_command_is_an_error_at_once():
    with pytest.raises(ValueError, match="NUL"):
        Command("nul", "echo a\0b")
