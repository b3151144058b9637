"""Logging that does not wait: nothing is lost, each record says who logged it."""

from __future__ import annotations

import io
import logging
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from threadtree import Thread, Worker, WorkerError, logs, shutdown, sleep, wait_forever

from .helpers import LIMIT, Flag, hectic_switching, in_threads, running
from .programs import run


class Keeper(logging.Handler):
    """Keeps the records, and in which thread it got each."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []
        self.threads: list[threading.Thread] = []
        self.flushed = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.append(threading.current_thread())

    def flush(self) -> None:
        self.flushed += 1

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the test's own."""
    log = logging.getLogger("tests.logs")
    log.setLevel(logging.DEBUG)
    yield log
    log.handlers = []
    log.setLevel(logging.NOTSET)


@pytest.fixture
def keeper(log: logging.Logger) -> Keeper:
    keeper = Keeper()
    log.addHandler(keeper)
    return keeper


# -- who is called where ---------------------------------------------------------------------------


def test_a_handler_is_called_in_one_thread_that_is_not_the_callers(log, keeper):
    with logs.move_off_threads(log):
        log.info("from main")
        Worker(log.info).start("from a worker").join(LIMIT)
    assert keeper.messages == ["from main", "from a worker"]
    assert len(set(keeper.threads)) == 1
    assert keeper.threads[0].name == "threadtree-logs"


def test_who_logs_does_not_wait_for_the_handler(log):
    go_on = Flag()

    class Slow(Keeper):
        def emit(self, record):
            go_on.wait()
            super().emit(record)

    slow = Slow()
    log.addHandler(slow)
    with logs.move_off_threads(log) as moved:
        for number in range(100):
            log.info("%d", number)
        assert moved.backlog >= 99
        assert not slow.records
        go_on.set()
    assert slow.messages == [str(number) for number in range(100)]
    assert moved.backlog == 0


def test_each_record_carries_the_path_of_the_worker(log, keeper):
    def parent():
        log.info("parent")
        Worker(log.info, name="child").start("child").join(LIMIT)

    def native():
        threading.current_thread().name = "native"
        log.info("native")

    with logs.move_off_threads(log):
        log.info("main")
        Worker(parent, name="parent").start().join(LIMIT)
        Thread.run("thread", lambda please_stop: log.info("thread")).join(LIMIT)
        in_threads(native)
        log.info("of the library", extra={"worker": "as it says"})
    paths = {record.getMessage(): record.worker for record in keeper.records}
    assert paths == {
        "main": "main",
        "parent": "parent",
        "child": "parent/child",
        "thread": "main/thread",
        "native": "native",
        "of the library": "as it says",
    }


def test_the_library_s_own_records_come_with_the_worker_that_they_are_about(log, keeper):
    library = logging.getLogger("threadtree")
    library.addHandler(keeper)
    try:
        with logs.move_off_threads(library):
            Worker(lambda: 1 / 0, name="divider").start().join(LIMIT)
    finally:
        library.removeHandler(keeper)
    [record] = keeper.records
    assert record.worker == "divider"
    assert record.exc_info[0] is ZeroDivisionError


def test_a_message_is_formatted_when_it_is_logged(log, keeper):
    items = [1]
    go_on = Flag()
    keeper.addFilter(lambda record: go_on.wait())
    with logs.move_off_threads(log):
        log.info("%s", items)
        items.append(2)
        go_on.set()
    assert keeper.messages == ["[1]"]


def test_a_handler_still_gets_the_exception_itself(log, keeper):
    text = io.StringIO()
    log.addHandler(logging.StreamHandler(text))
    error = ValueError("why")
    with logs.move_off_threads(log):
        log.error("it failed", exc_info=error)
    assert keeper.records[0].exc_info[1] is error
    assert text.getvalue() == "it failed\nValueError: why\n"


def test_other_handlers_get_the_record_as_it_was(log, keeper):
    parent, other = logging.getLogger("tests"), Keeper()
    parent.addHandler(other)
    try:
        with logs.move_off_threads(log):
            log.info("%s", 1)
            assert other.records[0].args == (1,)
            assert not hasattr(other.records[0], "worker")
    finally:
        parent.removeHandler(other)


def test_levels_and_filters_of_handlers_are_kept(log, keeper):
    strict = Keeper(logging.ERROR)
    log.addHandler(strict)
    keeper.addFilter(lambda record: record.getMessage() != "no")
    with logs.move_off_threads(log):
        log.info("yes")
        log.info("no")
        log.error("loud")
        log.removeHandler(strict)  # it is not there; nothing happens
    assert keeper.messages == ["yes", "loud"]
    assert strict.messages == ["loud"]


def test_a_handler_that_raises_ends_nothing(log, keeper, monkeypatch):
    failed = []
    monkeypatch.setattr(keeper, "handleError", failed.append)

    def object_to_some(record):
        if record.getMessage() in ("1", "2"):
            raise [RuntimeError, SystemExit][int(record.getMessage()) - 1]
        return True

    keeper.addFilter(object_to_some)
    after = Keeper()
    log.addHandler(after)
    with logs.move_off_threads(log):
        for number in range(4):
            log.info("%d", number)
    assert keeper.messages == ["0", "3"]
    assert [record.getMessage() for record in failed] == ["1", "2"]
    assert after.messages == ["0", "1", "2", "3"]


# -- fields ----------------------------------------------------------------------------------------


def test_fields_set_in_a_parent_are_seen_in_its_children(log, keeper):
    def grandchild(please_stop):
        log.info("grandchild")

    def child():
        with logs.fields(step="packing"):
            Thread.run("grandchild", grandchild).join(LIMIT)
        log.info("child")

    with logs.move_off_threads(log):
        with logs.fields(order=42):
            Worker(child).start().join(LIMIT)
        log.info("outside")
    seen = {
        record.getMessage(): (getattr(record, "order", None), getattr(record, "step", None))
        for record in keeper.records
    }
    assert seen == {
        "grandchild": (42, "packing"),
        "child": (42, None),
        "outside": (None, None),
    }


def test_fields_without_a_block_last_as_long_as_the_worker(log, keeper):
    def work():
        logs.fields(order=1)
        logs.fields(customer="Ada")
        log.info("worker")

    with logs.move_off_threads(log):
        Worker(work).start().join(LIMIT)
        log.info("outside")
    inside, outside = keeper.records
    assert (inside.order, inside.customer) == (1, "Ada")
    assert not hasattr(outside, "order")


def test_a_child_keeps_the_fields_that_it_was_started_with(log, keeper):
    changed = Flag()

    def child():
        changed.wait()
        log.info("child")

    with logs.move_off_threads(log), logs.fields(order=1):
        worker = Worker(child).start()
        with logs.fields(order=2):
            changed.set()
            worker.join(LIMIT)
            log.info("here")
            log.info("extra", extra={"order": 3})
    assert [record.order for record in keeper.records] == [1, 2, 3]


@pytest.mark.parametrize("name", ["message", "args", "threadName", "worker"])
def test_a_field_that_a_record_has_already_is_refused(name):
    with pytest.raises(ValueError, match=name):
        logs.fields(**{name: 1})


# -- putting back ----------------------------------------------------------------------------------


def test_the_handlers_are_put_back_in_their_order_and_flushed(log, keeper):
    second, added = Keeper(), Keeper()
    log.addHandler(second)
    moved = logs.move_off_threads(log)
    log.addHandler(added)
    moved.close()
    assert log.handlers == [keeper, second, added]
    assert keeper.flushed
    moved.close()
    assert log.handlers == [keeper, second, added]
    log.info("here")
    assert keeper.threads == [threading.current_thread()]


def test_what_was_configured_anew_meanwhile_stays(log, keeper):
    new = Keeper()
    with logs.move_off_threads(log):
        log.handlers = [new]
    assert log.handlers == [new]


def test_handlers_that_were_added_later_can_be_moved_as_well(log, keeper):
    first = logs.move_off_threads(log)
    second = Keeper()
    log.addHandler(second)
    with logs.move_off_threads("tests.logs"):
        log.info("both")
        first.close()
        assert keeper in log.handlers
        assert second not in log.handlers
    assert log.handlers == [keeper, second]
    assert keeper.messages == second.messages == ["both"]


def test_a_call_that_could_do_nothing_raises(log, keeper):
    with pytest.raises(TypeError, match="logger"):
        logs.move_off_threads(keeper)
    with logs.move_off_threads(log), pytest.raises(ValueError, match="no handler"):
        logs.move_off_threads(log)
    with pytest.raises(ValueError, match="no handler"):
        logs.move_off_threads("tests.no such logger")
    assert log.handlers == [keeper]


def test_a_handler_that_closes_gets_an_error(log, keeper, monkeypatch):
    errors = []
    moved = logs.move_off_threads(log)

    def close(record):
        try:
            moved.close()
        except WorkerError as error:
            errors.append(error)
        return True

    keeper.addFilter(close)
    log.info("x")
    moved.close()
    assert len(errors) == 1


def test_without_a_thread_to_be_had_the_handlers_stay(log, keeper, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            logs.move_off_threads(log)
    assert log.handlers == [keeper]


def test_every_record_is_written_once_and_in_order_while_the_handlers_go_back(log, keeper):
    senders, count = 4, 150
    half = threading.Barrier(senders + 1)
    moved = logs.move_off_threads(log)

    def send(sender):
        for number in range(count):
            if number == count // 2:
                half.wait(LIMIT)
            log.info("%d %d", sender, number)

    def close():
        half.wait(LIMIT)
        moved.close()

    with hectic_switching():
        in_threads(close, *(lambda s=s: send(s) for s in range(senders)))
    assert log.handlers == [keeper]
    for sender in range(senders):
        mine = [m for m in keeper.messages if m.startswith(f"{sender} ")]
        assert mine == [f"{sender} {number}" for number in range(count)]


def test_a_stop_ends_a_workers_wait_for_the_end_and_nothing_is_lost(log, keeper):
    go_on, blocked = Flag(), Flag()
    keeper.addFilter(lambda record: blocked.set() or go_on.wait())
    moved = logs.move_off_threads(log)
    log.info("1")
    blocked.wait()
    with running(moved.close) as closer:
        closer.stop().join(LIMIT)
    assert not closer.is_running()
    go_on.set()
    moved.close()
    assert keeper.messages == ["1"]
    assert log.handlers == [keeper]


def test_shutdown_ends_the_workers_but_not_their_log(log, keeper):
    def clean_up():
        try:
            wait_forever()
        finally:
            sleep(0)
            log.info("cleaned up")

    with logs.move_off_threads(log):
        Worker(clean_up).start()
        assert shutdown() == []
        log.info("after the shutdown")
    assert keeper.messages == ["cleaned up", "after the shutdown"]
    assert keeper.threads[0] is keeper.threads[1] is not threading.current_thread()


# -- programs --------------------------------------------------------------------------------------

# Each record takes a while to write, so that there is always a backlog.
PRELUDE = """
import atexit, logging
from threadtree import logs

class Slow(logging.Handler):
    def emit(self, record):
        time.sleep(0.002)
        say(self.format(record))

slow = Slow()
slow.setFormatter(logging.Formatter("%(worker)s: %(message)s"))
logging.basicConfig(handlers=[slow], level=logging.INFO)
moved = logs.move_off_threads()

def clean():
    try:
        wait_forever()
    finally:
        for number in range(10):
            logging.info(number)
        sleep(0.01)
        logging.info("clean")

"""


def of(path: str, *messages: object) -> list[str]:
    return [f"{path}: {message}" for message in messages]


def said_by(path: str, lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(f"{path}: ")]


@pytest.mark.parametrize(
    ("last_line", "returncode"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('why')", 1),
        ("ask(); wait_forever()", -signal.SIGINT),
    ],
)
def test_nothing_that_is_logged_while_the_program_ends_is_lost(
    last_line: str, returncode: int
) -> None:
    ended = run(
        PRELUDE
        + """
def orphan():
    child.stopped.wait()
    logging.info("orphan")

atexit.register(logging.info, "atexit")
child = Worker(clean, name="child", parent=main).start()
Worker(clean, name="daemon", daemon=True).start()
Thread.run("thread", lambda please_stop: please_stop.wait() and logging.info("asked"))
Worker(orphan, name="orphan").start()
logging.info("main")
"""
        + last_line
    )
    assert ended.returncode == returncode
    assert said_by("main/child", ended.lines) == of("main/child", *range(10), "clean")
    assert said_by("main/thread", ended.lines) == of("main/thread", "asked")
    assert said_by("daemon", ended.lines) == of("daemon", *range(10), "clean")
    if returncode >= 0:  # Ctrl-C asks orphans, too
        assert said_by("orphan", ended.lines) == of("orphan", "orphan")
    assert said_by("main", ended.lines) == of("main", "main", "atexit")
    assert ended.lines[-1] == "main: atexit"


def test_an_error_that_nobody_looked_at_is_logged_at_the_end_of_the_program():
    ended = run(
        PRELUDE
        + """
def crash():
    raise ValueError("why")
failed = Worker(crash, name="failed", print_traceback=False).start()
failed.stopped.wait()
"""
    )
    assert ended.returncode == 0
    assert ended.lines[0].startswith("failed: Worker failed crashed, and nobody has looked")
    assert ended.lines[-1].startswith("raised in worker failed")


def test_without_arguments_the_handlers_of_every_logger_are_moved():
    ended = run(
        """
import logging
from threadtree import logs

class Where(logging.Handler):
    def emit(self, record):
        say(record.name, threading.current_thread().name)

for name in (None, "a", "a.b.c"):
    logging.getLogger(name).addHandler(Where())
with logs.move_off_threads() as moved:
    logging.getLogger("a.b.c").warning("x")
    say(moved.__class__.__name__, "closes")
logging.getLogger("a").warning("x")
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    elsewhere = [line for line in ended.lines if "threadtree-logs" in line]
    assert elsewhere == ["a.b.c threadtree-logs"] * 3
    assert ended.lines[-2:] == ["a MainThread"] * 2


def test_a_native_thread_that_outlives_the_workers_can_still_log():
    ended = run(
        PRELUDE
        + """
def outlive():
    threading.main_thread().join()
    logging.info("last")
threading.Thread(target=outlive, name="native").start()
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["native: last"]


def test_a_second_ctrl_c_gives_up_a_handler_that_hangs():
    ended = run(
        """
import logging
from threadtree import logs

class Stuck(logging.Handler):
    def handle(self, record):  # without its lock, which the end of logging itself would wait for
        inside.set()
        stuck()

class Waiter(logs.PlainWaiter):  # what the exit waits with
    def wait_for(self, condition, deadline):
        ask()
        super().wait_for(condition, deadline)

inside = threading.Event()
logs.PlainWaiter = Waiter
logging.basicConfig(handlers=[Stuck()], level=logging.INFO)
moved = logs.move_off_threads()
logging.info("1")
inside.wait()
logging.info("2")
"""
    )
    assert ended.returncode == -signal.SIGINT
    assert "left unfinished at exit: <MovedHandlers of root: 1 records to write>" in ended.stderr


# -- fork ------------------------------------------------------------------------------------------

can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


@can_fork
def test_in_the_child_of_a_fork_logging_goes_on_and_the_backlog_is_the_parents():
    ended = run(
        PRELUDE
        + """
for number in range(20):
    logging.info(number)
pid = os.fork()
if pid == 0:
    logging.info("child")
    moved.close()
    say("closed", logging.root.handlers == [slow])
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
logging.info("parent")
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines.count("main: child") == 1
    assert ended.lines.count("closed True") == 1
    rest = [line for line in ended.lines if line not in ("main: child", "closed True")]
    assert rest == of("main", *range(20), "parent")


@can_fork
def test_a_fork_waits_until_the_record_that_is_being_written_is_written():
    ended = run(
        """
import logging
from threadtree import logs
inside, forking = threading.Event(), threading.Event()

class Locked(logging.Handler):
    lock_of_its_own = threading.Lock()  # which nobody makes anew in the child

    def emit(self, record):
        with self.lock_of_its_own:
            inside.set()
            forking.wait()
            say(record.getMessage(), "of", "parent" if os.getpid() == parent else "child")

parent = os.getpid()
logging.basicConfig(handlers=[Locked()], level=logging.INFO)
logs.move_off_threads()
logging.info("first")
inside.wait()
forking.set()
pid = os.fork()
if pid == 0:
    logging.info("second")
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["first of parent", "second of child"]
