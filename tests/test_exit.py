"""L6: however a program is left, its workers end in order and its exit code is kept.

Ctrl-C has its own file, test_interrupt.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.programs import run

# A worker that cleans up, with a wait, and a signal that goes when main has come to its end.
CLEAN = """
def clean(name):
    try:
        wait_forever()
    finally:
        sleep(0.01)
        say("clean", name)

over = Worker(parent=main, name="over").start().stopped
"""

HASTY = "graces.asked = graces.told = graces.daemons = 0.05\n"

# These refuse every new thread once the main thread is at its end.
NO_THREADS_AT_EXIT = sys.version_info[:3] in ((3, 12, 0), (3, 12, 1))


@pytest.mark.parametrize(
    ("last_line", "returncode"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('why')", 1),
        ("raise RuntimeError('why')", 1),
        ("raise SystemExit from KeyboardInterrupt()", 0),
        ("Worker(sys.exit, parent=main).start(3).join()", 0),
    ],
)
def test_l6_every_way_to_leave_ends_all_in_order_and_keeps_the_exit_code(
    last_line: str, returncode: int
) -> None:
    # Main's own children are asked first, then orphans are waited for unasked, then daemons are
    # asked, and then the hooks of the program run.
    ended = run(
        CLEAN
        + """
import atexit
atexit.register(say, "atexit")
child = Worker(clean, parent=main).start("child")
create_worker(clean, "daemon", daemon=True)

@create_worker
def orphan():
    child.stopped.wait()
    say("orphan, asked:", bool(current().please_stop))
"""
        + last_line
    )
    assert ended.returncode == returncode
    assert ended.lines == ["clean child", "orphan, asked: False", "clean daemon", "atexit"]
    assert ("why" in ended.stderr) == ("why" in last_line)


def test_l6_an_uncaught_ctrl_c_asks_orphans_too_and_is_what_the_program_dies_of() -> None:
    ended = run(
        CLEAN
        + """
import atexit
atexit.register(say, "atexit")
sys.excepthook = lambda *error: say("hook")  # a hook of one's own hides nothing from the exit
Worker(clean, parent=main).start("child")
create_worker(clean, "daemon", daemon=True)
create_worker(clean, "orphan")
signal.raise_signal(signal.SIGINT)
"""
    )
    assert ended.returncode == -signal.SIGINT
    assert ended.lines[0] == "hook"
    assert sorted(ended.lines[1:-1]) == ["clean child", "clean daemon", "clean orphan"]
    assert ended.lines[-1] == "atexit"


def test_l6_a_ctrl_c_that_the_interpreter_swallows_before_our_hook_ends_all_in_order() -> None:
    ended = run(
        CLEAN
        + """
def interrupted():
    raise KeyboardInterrupt

threading._shutdown = interrupted  # where it calls the hooks
Worker(clean, parent=main).start("child")
create_worker(clean, "daemon", daemon=True)
create_worker(clean, "orphan")
"""
    )
    assert sorted(ended.lines) == ["clean child", "clean daemon", "clean orphan"]


def test_l6_a_ctrl_c_that_was_caught_is_not_held_against_the_orphans() -> None:
    ended = run(
        CLEAN
        + """
@create_worker
def orphan():
    over.wait()
    say("orphan, asked:", bool(current().please_stop))

try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(7)
"""
    )
    assert (ended.returncode, ended.lines) == (7, ["orphan, asked: False"])


def test_l6_main_goes_on_handling_its_events_while_orphans_need_it() -> None:
    ended = run(
        CLEAN
        + """
@create_worker
def orphan():
    over.wait()
    for answer in ("first", "second"):
        defer = Defer()
        main.later(lambda: defer.resolve((answer, is_main())))
        say(defer.get())
    main.later(lambda: 1 / 0)
    main.fire("LAST WORDS")

main.listen(lambda event: say(event.name), "LAST WORDS")
"""
    )
    assert ended.returncode == 0
    assert ended.lines == ["('first', True)", "('second', True)", "LAST WORDS"]
    assert "ZeroDivisionError" in ended.stderr


def test_l6_main_hears_of_the_end_of_its_children_and_of_its_daemons_last_words() -> None:
    ended = run(
        """
        def last_words(name):
            try:
                wait_forever()
            finally:
                main.fire("LAST WORDS", name)

        Worker(last_words, parent=main).start("child")
        create_worker(last_words, "daemon", daemon=True)
        main.listen(lambda event: say(event.data), "LAST WORDS")
        main.listen(lambda event: say(event.name), "CHILD_THREAD_END")
        """
    )
    assert ended.returncode == 0
    assert ended.lines == ["child", "CHILD_THREAD_END", "daemon"]


def test_l6_orphans_may_start_work_after_main_where_the_interpreter_can() -> None:
    ended = run(
        CLEAN
        + """
@create_worker
def orphan():
    over.wait()
    sleep(0.01)
    try:
        say(await_(pow, 2, 3))
        create_worker(clean, "its child")
        Worker(lambda: say("another orphan"), parent=False).start()
    except RuntimeError as error:
        say(type(error).__name__)
"""
    )
    assert ended.returncode == 0
    if NO_THREADS_AT_EXIT:
        assert ended.lines == ["RuntimeError"]
    else:
        assert ended.lines[0] == "8"
        assert sorted(ended.lines[1:]) == ["another orphan", "clean its child"]


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("daemon=True", "stuck"),
        ("parent=main", "main/stuck"),
        ("parent=main, daemon=True", "main/stuck"),
        ("parent=Worker(daemon=True, name='nest').start()", "nest/stuck"),
    ],
)
def test_l6_foreign_code_never_hangs_an_exit_that_was_asked_for(place: str, path: str) -> None:
    ended = run(HASTY + f"create_worker(stuck, {place})\nsys.exit(3)")
    assert ended.returncode == 3
    assert f"Worker {path} is still running (asked 0." in ended.stderr
    assert "in stuck" in ended.stderr  # its stack


def test_l6_clean_up_that_does_not_end_is_told() -> None:
    ended = run(
        """
        graces.asked = graces.daemons = 0.05

        def refuse(name):
            try:
                wait_forever()
            finally:
                try:
                    wait_forever()
                finally:
                    say("told", name)

        Worker(refuse, parent=main).start("child")
        create_worker(refuse, "daemon", daemon=True)
        """
    )
    assert (ended.returncode, ended.lines, ended.stderr) == (0, ["told child", "told daemon"], "")


def test_l6_no_log_of_the_exit_is_lost() -> None:
    # The handler keeps its records until the logging module's own exit hook flushes it.
    ended = run(
        HASTY
        + """
import logging.handlers
target = logging.StreamHandler(sys.stdout)
logging.getLogger().addHandler(logging.handlers.MemoryHandler(1000, 100, target))

def last_words():
    try:
        wait_forever()
    finally:
        logging.error("last words")
        raise ValueError("unseen")

async_(last_words)
create_worker(stuck, daemon=True)
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    text = "\n".join(ended.lines)
    assert "last words" in text
    assert text.count("ValueError: unseen") == 1
    assert "Worker stuck is still running" in text


def test_l6_what_was_fired_at_a_daemon_is_handled_before_its_end() -> None:
    ended = run(
        """
        writer = Worker(daemon=True)
        writer.listen(lambda event: say(event.data), "LINE")
        writer.start()

        @create_worker
        def orphan():
            for i in range(100):
                writer.fire("LINE", i)
        """
    )
    assert (ended.returncode, ended.lines) == (0, [str(i) for i in range(100)])


@pytest.mark.parametrize(
    "state_of_main",
    [
        "main.pause().update()",
        "main.stop()",
        "main.later(say, 'never', timeout=60)",
        "Worker(stuck)",  # never started
        "main.listen(lambda event: 1 / 0, 'CHILD_THREAD_END')",
        "threading.Thread(target=current).start()",
    ],
)
def test_l6_nothing_about_main_keeps_the_program_from_ending(state_of_main: str) -> None:
    ended = run(CLEAN + f"create_worker(over.wait)\n{state_of_main}")
    assert (ended.returncode, ended.lines) == (0, [])


def test_l6_a_native_thread_that_outlives_main_can_still_use_workers() -> None:
    # Native threads are waited for by the interpreter, before or after us, and may wait for us.
    ended = run(
        CLEAN
        + """
orphan = create_worker(over.wait)

@lambda run: threading.Thread(target=run).start()
def native():
    say(orphan.get())
    sleep(0.01)
    say("native")
"""
    )
    assert (ended.returncode, ended.lines) == (0, ["True", "native"])


@pytest.mark.skipif(NO_THREADS_AT_EXIT, reason="this interpreter starts no threads any more")
def test_l7_a_native_thread_that_outlives_main_can_start_workers_which_end_in_order() -> None:
    ended = run(
        """
main_is_over = Signal()
hook = threading._threading_atexits  # the first to be registered is the last to be called
threading._threading_atexits = [main_is_over.go, *hook]

def clean(name):
    try:
        sleep(60)
    finally:
        sleep(0.01)
        say("clean", name)

@lambda run: threading.Thread(target=run).start()
def native():
    main_is_over.wait()
    say(async_(pow, 2, 3).get(), create_worker(pow, 2, 4).get())
    try:
        Worker(parent=main)
    except WorkerError:
        say("main has ended")
    async_(clean, "daemon")
    create_worker(lambda: (sleep(0.01), say("orphan")))
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["8 16", "main has ended", "orphan", "clean daemon"]


@pytest.mark.skipif(NO_THREADS_AT_EXIT, reason="this interpreter starts no threads any more")
def test_l6_ctrl_c_while_a_native_thread_outlives_main_ends_what_that_has_started() -> None:
    ended = run(
        """
import atexit
main_is_over = Signal()
threading._threading_atexits = [main_is_over.go, *threading._threading_atexits]
atexit.register(say, "hook")

def clean():
    try:
        wait_forever()
    finally:
        sleep(0.01)
        say("clean")

@lambda run: threading.Thread(target=run).start()
def native():
    main_is_over.wait()
    orphan = create_worker(clean)
    ask()
    orphan.join()
"""
    )
    assert (ended.returncode, ended.lines) == (0, ["hook", "clean"])


def output_of(text: str) -> str:
    """What a program prints that imports us when it wants to; it must end well."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_l6_an_exit_at_which_all_is_well_imports_nothing() -> None:
    text = """
import atexit, sys
atexit.register(lambda: print(sorted(set(sys.modules) - there)))  # after all of ours
import threadtree
threadtree.async_(len, ()).get()
there = set(sys.modules)
"""
    assert output_of(text) == "[]\n"


def test_l6_after_the_last_stage_nothing_starts() -> None:
    text = """
import atexit
def late():
    try:
        threadtree.Worker(print).start("started")
    except threadtree.WorkerError as error:
        print(error)
atexit.register(late)
import threadtree
"""
    assert output_of(text) == "print cannot start: the program has ended\n"


def test_l6_a_native_thread_that_outlives_main_can_import_us() -> None:
    text = """
import sys, threading
def native():
    threading.main_thread().join()
    import threadtree
    worker = threadtree.Worker(print)
    try:
        print(worker.start("started").get())
    except RuntimeError:  # as at this time on some versions of Python
        print("started")
        print(None)
threading.Thread(target=native).start()
"""
    assert output_of(text) == "started\nNone\n"


def test_l6_a_wait_in_an_atexit_hook_loses_no_event() -> None:
    ended = run(
        """
import atexit

def late():
    for _ in range(2):
        main.fire("X")
        Signal().wait(0.001)
    say(main.backlog, main.rejected)

atexit.register(late)
"""
    )
    assert (ended.returncode, ended.lines) == (0, ["0 2"])


def test_l6_a_tree_is_ended_by_an_exit_however_deep() -> None:
    ended = run(
        """
        def grow(depth):
            if depth:
                create_worker(grow, depth - 1)
            else:
                ready.go()
            try:
                wait_forever()
            finally:
                say(depth)

        ready = Signal()
        Worker(grow, parent=main).start(20)
        ready.wait()
        """
    )
    assert ended.returncode == 0
    assert sorted(map(int, ended.lines)) == list(range(21))


def test_l6_a_listener_that_leaves_main_at_its_end_cuts_nobody_off() -> None:
    # The exit has begun already: there is nothing left that SystemExit could end.
    ended = run(
        CLEAN
        + """
@create_worker
def orphan():
    over.wait()
    main.later(sys.exit, 5)
    defer = Defer()
    main.later(defer.resolve, None)
    defer.get()
    say("orphan")

create_worker(clean, "daemon", daemon=True)
"""
    )
    assert (ended.returncode, ended.lines) == (0, ["orphan", "clean daemon"])


def test_what_is_below_a_daemon_does_not_keep_the_program_alive():
    ended = run("""
        begun = Signal()
        def child(please_stop):
            begun.go()
            please_stop.wait()
            say("the child was asked")
        def daemon():
            Thread.run("child", child)
            wait_forever()
        create_worker(daemon, daemon=True, parent=False)
        begun.wait()
    """)
    assert (ended.returncode, ended.lines, ended.stderr) == (0, ["the child was asked"], "")


@pytest.mark.parametrize(
    ("wait", "is_first"),
    [
        ("MainThread.join()", True),
        ("MainThread.join()", False),
        ("MainThread.get()", True),
        ("MainThread.get()", False),
        ("wait(MainThread)", True),
        ("wait(MainThread)", False),
        ("Task(awaited).start().get()", True),  # at the exit, Python 3.12 starts no thread
    ],
)
def test_r3_an_orphan_that_waits_for_the_end_of_main_raises(wait, is_first):
    """For main waits for it then. Before, main could have asked it to end."""
    ended = run(
        f"""
over = Worker(wait_forever, parent=main).start().stopped
waits = threading.Event()

async def awaited():
    await MainThread

@create_worker(print_traceback=False)
def orphan():
    if not {is_first}:
        over.wait()
    waits.set()
    try:
        {wait}
    except DeadlockError as error:
        say(error)

if {is_first}:
    waits.wait()
    if not {"join" in wait}:
        heard = threading.Event()
        orphan.later(heard.set)
        heard.wait()
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.lines
    assert line.startswith("this wait would close a circle: orphan")
    assert "waits for main waits for orphan" in line


def test_r3_an_orphan_that_waits_for_another_that_waits_for_the_end_of_main():
    """The other raises, and so they end."""
    ended = run(
        """
@create_worker(daemon=True, print_traceback=False)
def daemon():
    try:
        MainThread.get()
    except DeadlockError as error:
        say(error)

orphan = create_worker(daemon.get, name="orphan")
for worker in daemon, orphan:
    waits = threading.Event()
    worker.later(waits.set)
    waits.wait()
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == [
        "this wait would close a circle: daemon waits for main waits for orphan waits for daemon"
    ]


def test_what_main_does_not_wait_for_at_its_end_may_wait_for_that():
    """Daemons and children of main are asked; and who waits with a limit goes on."""
    ended = run(
        """
def wait():
    try:
        MainThread.join()
    finally:
        say(current().name)

create_worker(wait, daemon=True, name="daemon")
create_worker(wait, parent=main, name="child")

@create_worker
def orphan():
    try:
        MainThread.join(0.01)
    except TimeoutError:
        say("orphan")
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.lines) == ["child", "daemon", "orphan"]
