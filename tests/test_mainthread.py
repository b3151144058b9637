"""The main thread in charge: each way in which a program ends, in a process of its own."""

from __future__ import annotations

import signal
import threading
from time import monotonic

import pytest

from threadtree import (
    DONE,
    MainThread,
    RegisterThread,
    Signal,
    Thread,
    Till,
    Worker,
    WorkerError,
    WorkerState,
    current,
    get_current_worker,
    main,
    register_thread,
    sleep,
    start_main_thread,
    stop_main_thread,
    wait_event,
    wait_for_shutdown_signal,
)

from .helpers import LIMIT, in_threads
from .programs import run

# Each program begins with a thread that cleans up, and a child of it.
THREADS = """
def clean(name, child, please_stop):
    if child:
        Thread.run(child, clean, "child", None)
    current().stopped.then(lambda: say(name, "ended"))
    both.wait()
    please_stop.wait()
    sleep(0.01)  # clean-up may wait

both = threading.Barrier(3, timeout=10)
Thread.run("parent", clean, "parent", "child")
both.wait()
"""
IN_ORDER = ["child ended", "parent ended"]


def test_when_main_falls_off_its_end_each_parent_ends_after_its_children():
    ended = run(THREADS)
    assert (ended.returncode, ended.lines, ended.stderr) == (0, IN_ORDER, "")


def test_sys_exit_ends_them_and_keeps_its_code():
    ended = run(THREADS + "sys.exit(3)")
    assert (ended.returncode, ended.lines) == (3, IN_ORDER)


def test_an_uncaught_error_ends_them_and_keeps_its_code():
    ended = run(THREADS + "raise ValueError('of main')")
    assert (ended.returncode, ended.lines) == (1, IN_ORDER)
    assert "ValueError: of main" in ended.stderr


def test_ctrl_c_ends_them_and_the_program_dies_of_it():
    ended = run(THREADS + "ask('SIGINT'); wait_forever()")
    assert (ended.returncode, ended.lines) == (-signal.SIGINT, IN_ORDER)


STUCK = """
def clean_up_for_ever(please_stop):
    please_stop.wait()
    say("cleaning up")
    ask(second)
    stuck()

Thread.run("stuck", clean_up_for_ever)
"""


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
def test_a_second_signal_while_children_clean_up_gives_up_with_a_report(first, second):
    ended = run(
        f"second = {second!r}"
        + STUCK
        + f"""
graces.asked = 60
with threadtree.main():
    ask({first!r})
    wait_forever()
"""
    )
    assert ended.returncode == {"SIGINT": -signal.SIGINT, "SIGTERM": 143}[second]
    assert ended.lines == ["cleaning up"]
    assert "Worker main/stuck is still running" in ended.stderr
    assert "clean_up_for_ever" in ended.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_wait_for_shutdown_signal_ends_them_in_order_and_tells_the_signal(name):
    ended = run(
        THREADS
        + f"""
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
later(ask, {name!r})  # when it waits
got = wait_for_shutdown_signal()
say(signal.Signals(got).name, tree())
say(before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == [*IN_ORDER, f"{name} main: RUNNING, asked to stop", "True"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_with_block_of_main_ends_them_in_order_and_the_program_tells_of_the_signal(name):
    ended = run(
        THREADS
        + f"""
with threadtree.main():
    try:
        ask({name!r})
        wait_forever()
    finally:
        say("main cleans up")
"""
    )
    assert ended.returncode == {"SIGINT": -signal.SIGINT, "SIGTERM": 143}[name]
    assert ended.lines == ["main cleans up", *IN_ORDER]


@pytest.mark.parametrize(
    ("call", "wait"),
    [
        ("stop_main_thread()", "join"),
        ("stop_main_thread()", "get"),
        ("stop_main_thread()", "stopped.wait"),
        ("main.stop()", "join"),
        ("main.exit()", "join"),
    ],
)
def test_a_handler_that_stops_main_ends_its_wait_and_no_exit_leaves_it(call, wait):
    ended = run(
        f"""
from threadtree.parking import Gate
signal.signal(signal.SIGTERM, lambda *_: {call})
Thread.run("child", lambda please_stop: please_stop.wait())
work = async_(sleep, 60)
sleep_of_main = Gate._opens_for_main_by

def once(gate, deadline):
    Gate._opens_for_main_by = sleep_of_main
    ask("SIGTERM")
    return sleep_of_main(gate, deadline)

Gate._opens_for_main_by = once
try:
    work.{wait}()
except WorkerCancelled:
    pass
say(work.is_running())
"""
    )
    assert (ended.returncode, ended.lines) == (0, ["True"])


# The system gives a signal to any thread; here to the one which sends it, as main blocks it.
TAKEN_BY_ANOTHER = """
from threadtree import parking
parking._FIRST_LOOKS, parking._LATER_LOOKS = (), {look}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

def other():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    main.later(asleep.set)  # handled in its wait
    asleep.wait(10)
    while parking._where_main_sleeps is None:
        sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    {then}
    wait_forever()

asleep = threading.Event()
try:
    create_worker(other, daemon=True).get()
except KeyboardInterrupt:
    say("interrupted")
"""


@pytest.mark.parametrize(("look", "then"), [(3600, "async_(len, ()).get()"), (0.01, "pass")])
def test_l6_a_signal_that_another_thread_has_taken_reaches_the_sleeping_main_thread(look, then):
    ended = run(TAKEN_BY_ANOTHER.format(look=look, then=then))
    assert (ended.returncode, ended.lines) == (0, ["interrupted"])


@pytest.mark.parametrize("wait", ["wait_event('OUT')", "work.join().result", "work.get()"])
def test_a_handler_that_waits_leaves_the_wait_that_it_came_in_awake(wait):
    """It sleeps at the same gate, and takes what should have woken the other."""
    ended = run(
        f"""
from threadtree.parking import Gate
work = create_worker(wait_event, "END")
sleeps = []
sleep_of_main = Gate._opens_for_main_by
handler_sleeps = threading.Event()

def sleep_here(gate, deadline):
    sleeps.append(1)
    if len(sleeps) == 1:
        ask("SIGTERM")
    if len(sleeps) == 2:
        handler_sleeps.set()
    return sleep_of_main(gate, deadline)

def wake_all():
    handler_sleeps.wait()
    work.fire("END", 2).stopped.wait()
    main.fire("IN", 1).fire("OUT", 2)

Gate._opens_for_main_by = sleep_here
signal.signal(signal.SIGTERM, lambda *_: say("in", wait_event("IN")))
native = threading.Thread(target=wake_all)
native.start()
say("out", {wait})
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["in 1", "out 2"]


def test_stop_main_thread_is_a_signal_handler_that_ends_a_wait_of_main():
    ended = run(
        THREADS
        + """
signal.signal(signal.SIGTERM, stop_main_thread)
ask("SIGTERM")  # whether it comes before the wait or in it
say(Queue("never filled").pop() is PLEASE_STOP)
ask("SIGTERM")  # again: there is nothing to be ended any more
say(wait_forever())
"""
    )
    assert (ended.returncode, ended.lines) == (0, [*IN_ORDER, "True", "None"])


def test_nothing_that_waits_hangs_the_exit():
    ended = run("""
graces.asked = graces.told = 30  # none of these needs it

def pop(please_stop):
    assert Queue("empty").pop() is PLEASE_STOP

def till(please_stop):
    assert Till(seconds=3600).wait()

def both(please_stop):
    assert (please_stop & Till(seconds=3600)).wait()

Thread("never started", pop)
threads = [Thread.run(f.__name__, f) for f in (pop, till, both)]
full = ThreadedQueue("full", Queue("slow"), max_size=2)
full.extend([1, 2])
for thread in 2 * threads:  # each handles one on the way into its wait, and one in it
    handled = threading.Event()
    thread.later(handled.set)
    handled.wait(10)
""")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_there_is_one_grace_for_the_tree_and_stragglers_are_named():
    ended = run("""
graces.asked, graces.told = 0.1, 0.1

def never_ends(please_stop):
    begun.wait()
    stuck()

def parent(please_stop):
    threads = [Thread.run(f"stuck {i}", never_ends) for i in range(5)]
    join_all_threads(threads)

begun = threading.Barrier(6, timeout=10)
Thread.run("parent", parent)
begun.wait()
start = time.monotonic()
left = stop_main_thread()
say(time.monotonic() - start < 2, sorted(straggler.path for straggler in left))
""")
    paths = ["main/parent", *(f"main/parent/stuck {i}" for i in range(5))]
    assert (ended.returncode, ended.lines) == (0, [f"True {paths}"])
    assert all(f"Worker {path} is still running" in ended.stderr for path in paths)


def test_an_orphan_that_loops_on_a_till_does_not_spin_at_the_exit():
    ended = run("""
def loop():
    for round in range(20):
        Till(seconds=0.01).wait()
    say(bool(current().please_stop), time.monotonic() - start >= 0.2)

start = time.monotonic()
create_worker(loop)
""")
    assert (ended.returncode, ended.lines) == (0, ["False True"])


@pytest.mark.parametrize("line", [b"exit\n", b"no\n Exit \n"])
def test_exit_on_the_console_ends_the_wait(line):
    ended = run(f"""
reading, writing = os.pipe()
os.dup2(reading, 0)
os.write(writing, {line!r})
say(wait_for_shutdown_signal(allow_exit=True))
say(threading.active_count())
""")
    assert (ended.returncode, ended.lines, ended.stderr) == (0, ["0", "1"], "")


def test_the_watch_of_the_console_does_not_keep_the_wait_from_its_end():
    ended = run("""
reading, writing = os.pipe()
os.dup2(reading, 0)
Thread.run("last", lambda please_stop: sleep(0.01))
say(wait_for_shutdown_signal(allow_exit=True, wait_forever=False))
""")
    assert (ended.returncode, ended.lines) == (0, ["0"])


def test_the_end_of_the_console_does_not_end_the_wait():
    ended = run("""
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
later(ask, timeout=0.05)
say(signal.Signals(wait_for_shutdown_signal(allow_exit=True)).name)
""")
    assert (ended.returncode, ended.lines) == (0, ["SIGINT"])


# -- without a signal of the operating system -----------------------------------------------------


@pytest.fixture
def anew():
    yield
    start_main_thread()


def test_a_signal_ends_the_wait_and_all_below_main(anew):
    thread = Thread.run("child", lambda please_stop: please_stop.wait())
    assert wait_for_shutdown_signal(DONE) == 0
    assert thread.state is WorkerState.SUCCESS
    assert MainThread.please_stop


def test_without_wait_forever_the_end_of_the_last_child_ends_the_wait(anew):
    go_on = Signal()

    def parent(please_stop):
        Thread.run("grandchild", lambda please_stop: go_on.wait())
        Thread.run("late sibling", lambda please_stop: None, parent_thread=MainThread)

    thread = Thread.run("child", parent)
    thread.please_stop.then(go_on.go)
    Till(seconds=0.01).then(go_on.go)
    assert wait_for_shutdown_signal(wait_forever=False) == 0
    assert thread.state is WorkerState.SUCCESS


def test_stop_main_thread_from_another_thread_ends_the_wait(anew):
    Thread.run("child", lambda please_stop: stop_main_thread())
    assert wait_for_shutdown_signal() == 0


def test_stop_main_thread_in_time_for_the_wait_ends_no_later_one(anew):
    in_threads(stop_main_thread)
    assert wait_for_shutdown_signal() == 0
    MainThread.fire("NEWS", "later")
    assert wait_event("NEWS", LIMIT) == "later"


def test_after_stop_main_thread_an_overlay_may_wait(anew):
    stop_main_thread()
    assert Worker(sleep).start_overlay(0.001).state is WorkerState.SUCCESS


MEETS = {
    "a callback": "Signal().then(meet).go()",
    "an overlay": "Worker(meet, print_traceback=False).start_overlay()",
    "a guest": "asyncio.run(guest())",
}


@pytest.mark.parametrize("code", MEETS.values(), ids=MEETS)
def test_sigterm_ends_the_block_whatever_main_was_in(code):
    ended = run(f"""
import asyncio

def meet():
    signal.raise_signal(signal.SIGTERM)

async def guest():
    async def work():
        meet()
    Task(work).start()
    await asyncio.sleep(10)

with threadtree.main():
    try:
        {code}
        say("went on")
    finally:
        say("left")
""")
    assert (ended.returncode, ended.lines) == (143, ["left"])


def test_a_block_that_ends_in_a_listener_ends_the_wait_that_calls_it(anew):
    def listener(event):
        with main():
            pass

    MainThread.listen(listener, "GO")
    MainThread.fire("GO")
    begun = monotonic()
    try:
        assert wait_event("NEVER FIRED", LIMIT) is None
        assert monotonic() - begun < LIMIT
    finally:
        MainThread.unlisten(listener)


def test_after_stop_main_thread_a_thread_is_asked_at_once_until_main_is_started_again(anew):
    assert stop_main_thread() == []
    assert Thread.run("late", lambda please_stop: please_stop.wait()).join(LIMIT) is True
    assert Till(seconds=LIMIT).wait()  # at once: main was asked
    assert start_main_thread() is MainThread
    assert Thread.run("again", lambda please_stop: bool(please_stop)).join(LIMIT) is False
    assert not Till(seconds=LIMIT)


def test_only_the_main_thread_can_be_in_charge():
    def elsewhere():
        with pytest.raises(WorkerError, match="main thread"):
            wait_for_shutdown_signal()
        with pytest.raises(WorkerError, match="main thread"), main():
            pass

    in_threads(elsewhere)


def test_please_stop_must_be_a_signal():
    with pytest.raises(TypeError, match="please_stop"):
        wait_for_shutdown_signal("now")


def test_what_handled_the_signals_is_put_back_also_after_an_error():
    before = signal.getsignal(signal.SIGTERM)

    def fail():
        with main() as worker:
            assert worker is MainThread
            assert signal.getsignal(signal.SIGTERM) is not before
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        fail()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with main():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


# -- threads of others ----------------------------------------------------------------------------


def test_a_registered_thread_is_a_child_of_main_with_a_name():
    seen = []

    def alien():
        with RegisterThread() as thread:
            seen.append((thread is Thread.current() is get_current_worker(), thread.path))
            seen.append(thread in MainThread.children)
            seen.append(Till(seconds=0.001).wait())
        seen.append((thread.state, thread in MainThread.children))
        with RegisterThread("mine") as thread:
            seen.append(thread.name)

    native = threading.Thread(target=alien, name="alien")
    native.start()
    native.join(LIMIT)
    assert seen == [(True, "main/alien"), True, True, (WorkerState.SUCCESS, False), "mine"]


def test_an_error_leaves_the_block_and_is_its_outcome():
    threads = []

    @register_thread
    def alien():
        """Of a foreign library."""
        threads.append(Thread.current())
        raise ValueError("alien")

    def call():
        with pytest.raises(ValueError, match="alien"):
            alien()

    in_threads(call)
    assert alien.__doc__ == "Of a foreign library."
    assert isinstance(threads[0].error, ValueError)
    assert threads[0].state is WorkerState.ERROR


def test_where_the_library_runs_the_thread_anyway_it_is_that_one():
    def ours(please_stop):
        with RegisterThread() as thread:
            return thread is current()

    assert Thread.run("ours", ours).join(LIMIT)
    assert Worker(ours, parent=False).start(None).get(LIMIT)
    with RegisterThread() as thread:
        assert thread is MainThread


def test_a_name_must_be_a_string():
    with pytest.raises(TypeError, match="name"):
        RegisterThread(7)


def test_shutdown_waits_for_a_registered_thread():
    ended = run("""
def alien():
    with RegisterThread() as thread:
        registered.go()
        thread.please_stop.wait()
        sleep(0.05)
        say("finished its work")

registered = Signal()
threading.Thread(target=alien, daemon=True).start()
registered.wait()
say(stop_main_thread(), "all ended")
""")
    assert (ended.returncode, ended.lines) == (0, ["finished its work", "[] all ended"])
