"""Every example of pyThreadWorker's manual runs as it is written there.

Each runs twice: as written, importing ``worker``, and importing ``threadtree`` instead. What an
example leaves open (``Server``) is supplied; nothing in it is changed. Those with a window are in
test_tk.py.
"""

from __future__ import annotations

import threading

import pytest

from threadtree import Worker


@pytest.fixture(params=["worker", "threadtree"])
def run(request):
    """Runs the text of an example, with the names given to it; gives the names it has made."""

    def run(text, **names):
        text = text.replace("from worker import", f"from {request.param} import")
        exec(compile(text, "<example>", "exec"), names)
        return names

    return run


EVENT_LOOP = """
from worker import create_worker, wait_forever

@create_worker
def worker():
    print("thread created")
    wait_forever()
"""


def test_a_worker_that_is_created_runs_until_it_is_stopped(run, capsys):
    worker = run(EVENT_LOOP)["worker"]
    assert worker.is_running()
    worker.stop().join()
    assert capsys.readouterr().out == "thread created\n"


STOP = """
from worker import Worker

thread = Worker().start()
thread.stop()
print(thread.is_running()) # true
"""

STOP_A_DECORATED_ONE = """
from worker import create_worker, wait_forever

@create_worker
def thread():
  wait_forever()

thread.stop()
print(thread.is_running()) # true
"""


@pytest.mark.parametrize("text", [STOP, STOP_A_DECORATED_ONE], ids=["plain", "decorated"])
def test_a_stopped_worker_runs_until_its_next_wait(text, run, monkeypatch):
    # The worker is held before its wait until the example has looked at it.
    looked = threading.Event()
    printed = []
    wait_forever = Worker.wait_forever

    def wait_later(worker):
        looked.wait()
        return wait_forever(worker)

    def look(value):
        printed.append(value)
        looked.set()

    monkeypatch.setattr(Worker, "wait_forever", wait_later)
    try:
        thread = run(text, print=look)["thread"]
    finally:
        looked.set()
    assert printed == [True]
    assert not thread.join().is_running()


WAIT_THREAD = """
from worker import Worker, wait_thread

thread = Worker().start()
wait_thread(thread.stop())
print(thread.is_running()) # false
"""

WAIT_FOR_A_DECORATED_ONE = """
from worker import create_worker, wait_forever, wait_thread

@create_worker
def thread():
  wait_forever()

thread.stop()
wait_thread(thread)
print(thread.is_running()) # false
"""


@pytest.mark.parametrize(
    "text", [WAIT_THREAD, WAIT_FOR_A_DECORATED_ONE], ids=["plain", "decorated"]
)
def test_wait_thread_waits_until_the_worker_has_ended(text, run, capsys):
    run(text)
    assert capsys.readouterr().out == "False\n"


CLEAN_UP = """
from worker import create_worker, wait_forever

@create_worker
def server_thread():
    server = Server() # some kinds of multiprocess server
    server.run()
    try:
        wait_forever()
    finally:
        server.terminate() # the server would be correctly terminated when
                           # the event loop raises WorkerExit

# ... do something ...

server_thread.stop()
"""

CLEAN_UP_BY_A_CONTEXT_MANAGER = """
from contextlib import contextmanager
from worker import create_worker, wait_forever

@contextmanager
def open_server():
    server = Server()
    server.run()
    try:
        yield server
    finally:
        server.terminate()

@create_worker
def server_thread():
    with open_server() as server:
        wait_forever()

# ... do something ...

server_thread.stop()
"""


@pytest.mark.parametrize(
    "text", [CLEAN_UP, CLEAN_UP_BY_A_CONTEXT_MANAGER], ids=["finally", "context manager"]
)
def test_a_stopped_worker_cleans_up(text, run):
    calls = []

    class Server:
        def run(self):
            calls.append("run")

        def terminate(self):
            calls.append("terminate")

    run(text, Server=Server)["server_thread"].join()
    assert calls == ["run", "terminate"]


AS_A_FUNCTION = """
from worker import create_worker

def my_task():
    ...
my_thread = create_worker(my_task, daemon=True)
# my_thread is running
"""

AS_A_DECORATOR = """
from worker import create_worker

@create_worker(daemon=True)
def my_thread():
    ...
# my_thread is running
"""


@pytest.mark.parametrize("text", [AS_A_FUNCTION, AS_A_DECORATOR], ids=["function", "decorator"])
def test_a_worker_is_created_by_a_call_or_by_a_decorator(text, run):
    my_thread = run(text)["my_thread"]
    assert isinstance(my_thread, Worker)
    assert my_thread.is_daemon()
    assert my_thread.get() is None  # it was started, or this would raise


SHORTCUTS = """
from worker import listen, wait_forever, create_worker

@create_worker
def printer():
    # this function runs in a new thread
    @listen("PRINT") # the listener is registered on printer thread
    def _(event):
        print(event.data)
    wait_forever() # printer's event loop

printer.fire("PRINT", "foo")
printer.fire("PRINT", "bar")
printer.stop().join()
"""


def test_the_shortcuts_mean_the_thread_that_calls_them(run, capsys):
    run(SHORTCUTS)
    assert capsys.readouterr().out == "foo\nbar\n"
