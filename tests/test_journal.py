"""What the library has to say is said, whatever has become of the log; and nobody stumbles."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types

import pytest

from tests.helpers import LIMIT, running
from threadtree import Worker, WorkerExit, WorkerState, async_, journal, listen, wait_forever

CRASH = ["Worker boom crashed (started at", "ZeroDivisionError: division by zero"]


def boom():
    return 1 / 0


@pytest.fixture
def records():
    """What reaches a handler of the logger itself."""
    got = []

    class Keep(logging.Handler):
        def emit(self, record):
            got.append(record)

    handler = Keep()
    logging.getLogger("threadtree").addHandler(handler)
    yield got
    logging.getLogger("threadtree").removeHandler(handler)


@pytest.fixture
def set_filter():
    """Gives a function that sets a filter of the logger, for this test."""
    log = logging.getLogger("threadtree")
    before = log.filters.copy()
    yield log.addFilter
    log.filters[:] = before


PROGRAM = """
import sys
from threadtree import create_worker
create_worker(lambda: 1 / 0, name="boom").join()
print("logging" in sys.modules)
"""


def test_r1_a_program_that_does_not_log_sees_a_crash_on_stderr_without_an_import():
    said = []
    for text in (PROGRAM, "import logging" + PROGRAM):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", text]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
        assert done.stdout.strip() == str(text != PROGRAM)
        assert all(line in done.stderr for line in CRASH)
        said.append([line for line in done.stderr.splitlines() if "File" not in line])
    assert said[0] == said[1]


def test_a_record_says_where_it_was_made_and_by_whom(records):
    journal.warning("%s happened", "something")
    (record,) = records
    assert record.getMessage() == "something happened"
    assert (record.filename, record.worker) == ("test_journal.py", "main")
    assert record.levelname == "WARNING"


def test_l1_a_log_that_cannot_be_used_keeps_no_worker_from_its_end(set_filter, capsys):
    def broken(record):
        raise RuntimeError("broken filter")

    set_filter(broken)
    worker = Worker(boom, name="boom").start()
    with pytest.raises(ZeroDivisionError):
        worker.get(LIMIT)
    assert worker.state is WorkerState.ERROR
    assert worker.stopped
    said = capsys.readouterr().err
    assert all(line in said for line in [*CRASH, "could not be logged", "broken filter"])


def test_e5_a_log_that_cannot_be_used_keeps_no_worker_from_its_events(set_filter, capsys):
    heard = []
    with running() as worker:
        worker.listen(lambda event: 1 / 0, "N")
        worker.listen(heard.append, "N", priority=-1)
        set_filter(lambda record: 1 / 0)
        worker.fire("N").fire("N").stop().join(LIMIT)
    assert len(heard) == 2
    assert "a listener of N raised" in capsys.readouterr().err


def test_l1_a_log_that_ends_the_thread_keeps_no_worker_from_its_end(set_filter):
    """A handler may wait for something, and a stop then ends that wait."""

    def stopped(record):
        raise WorkerExit

    set_filter(stopped)
    worker = Worker(boom).start().join(LIMIT)
    assert worker.stopped
    assert isinstance(worker.error, ZeroDivisionError)


def test_a_program_may_put_a_worker_of_its_own_into_each_record(records):
    make = logging.getLogRecordFactory()

    def with_worker(*args, **kwargs):
        record = make(*args, **kwargs)
        record.worker = "gunicorn 7"
        return record

    logging.setLogRecordFactory(with_worker)
    try:
        Worker(boom).start().join(LIMIT)
    finally:
        logging.setLogRecordFactory(make)
    assert [record.worker for record in records] == ["gunicorn 7"]
    assert records[0].exc_info[0] is ZeroDivisionError


def test_a_handler_that_raises_does_not_have_others_called_twice(records, monkeypatch, capsys):
    class Strict(logging.Handler):
        def emit(self, record):
            raise KeyError("request")

    log = logging.getLogger("threadtree")
    monkeypatch.setattr(log, "handlers", [*log.handlers, Strict()])
    journal.error("Once")
    assert len(records) == 1
    assert "KeyError: 'request'" in capsys.readouterr().err


def test_t3_what_is_said_while_logging_is_being_imported_goes_to_stderr(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "logging", types.ModuleType("logging"))
    journal.error("A %s", "word", exc_info=ValueError("why"))
    journal.debug("nothing")
    assert capsys.readouterr().err == "A word\nValueError: why\n"


def test_r1_what_cannot_be_shown_does_not_hide_the_error(monkeypatch, capsys):
    class Broken:
        def __repr__(self):
            raise RuntimeError

    monkeypatch.setitem(sys.modules, "logging", None)
    journal.error("A callback of %r raised", Broken(), exc_info=ValueError("why"))
    assert capsys.readouterr().err == "A callback of %r raised\nValueError: why\n"


def test_a_logger_that_cannot_be_had_is_no_error(monkeypatch, capsys):
    broken = types.SimpleNamespace(getLogger=lambda name: 1 / 0)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "logging", broken)
        journal.error("Said all the same")
    assert "Said all the same\n" in capsys.readouterr().err


def test_nothing_is_raised_where_nothing_can_be_shown(monkeypatch, capsys):
    class Broken:
        def __repr__(self):
            raise RuntimeError

    monkeypatch.setitem(sys.modules, "logging", None)
    journal.error("This is %r", Broken())
    monkeypatch.setattr(sys, "stderr", None)
    journal.error("Nobody hears this", exc_info=ValueError())
    assert capsys.readouterr().out == ""


def test_a_listener_that_fails_in_a_program_that_does_not_log(monkeypatch, capsys):
    def job():
        listen(lambda event: 1 / 0, "N")
        wait_forever()

    monkeypatch.setitem(sys.modules, "logging", None)
    async_(job).fire("N").stop().join(LIMIT)
    assert "In worker job, a listener of N raised\nTraceback" in capsys.readouterr().err
