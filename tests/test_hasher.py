"""The Textual program: files are hashed, four at a time; pause, cancel and search, by its keys."""

from __future__ import annotations

import asyncio
import hashlib
from functools import wraps

import pytest

from tests.helpers import LIMIT, Flag
from threadtree import Signal, Task, WorkerState, sleep

pytest.importorskip("textual")

from examples.hasher import app as hasher
from examples.hasher import hashing
from examples.hasher.app import Hasher


def in_asyncio(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture
def files(tmp_path):
    contents = {f"dir/file-{n:02}.txt": bytes([n]) * (n * 50_000) for n in range(12)}
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path, {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()}


async def all_ended(app):
    for worker in app.files.values():
        await worker.stopped


def column(app, number):
    return [app._table.get_row_at(row)[number] for row in range(app._table.row_count)]


@in_asyncio
async def test_every_file_is_hashed_and_shown(files):
    directory, digests = files
    app = Hasher(directory)
    async with app.run_test() as pilot:
        await all_ended(app)
        await pilot.pause()
        assert {name: worker.result for name, worker in app.files.items()} == digests
        assert column(app, 0) == sorted(digests)
        assert column(app, 3) == [digests[name] for name in sorted(digests)]
        assert set(column(app, 2)) == {"success"}


stepped = Flag()


def endless(path):
    """Work that goes on until it is cancelled."""
    step = 0
    while True:
        step += 1
        stepped.set()
        yield step, 1_000_000
        sleep(0.02)  # Pilot waits until the process is idle


@in_asyncio
async def test_no_more_than_four_run_at_a_time_and_space_pauses_them(files, monkeypatch):
    monkeypatch.setattr(hasher, "sha256", endless)
    monkeypatch.setattr(Task, "progress_interval", 3600)  # Pilot waits until the window rests
    app = Hasher(files[0])
    async with app.run_test() as pilot:
        workers = list(app.files.values())
        running, waiting = workers[: hasher.AT_A_TIME], workers[hasher.AT_A_TIME :]
        assert [worker.state for worker in waiting] == [WorkerState.PENDING] * 8
        await pilot.press("space")
        for worker in running:
            await asyncio.to_thread(handled, worker)
        steps = [worker.completed_steps for worker in running]
        for worker in running:
            await asyncio.to_thread(handled, worker)  # in the pause, where events are handled
        assert [worker.completed_steps for worker in running] == steps
        assert app.sub_title == "paused"
        stepped.clear()
        await pilot.press("space")
        await asyncio.to_thread(stepped.wait)
        assert app.sub_title == ""
    await all_ended(app)  # the end of the window has cancelled them
    assert {worker.state for worker in workers} == {WorkerState.CANCELLED}


def handled(worker):
    """Return when the worker has handled what was queued for it."""
    reached = Signal()
    worker.later(reached.go)
    reached.wait(LIMIT)


@in_asyncio
async def test_delete_cancels_the_file_under_the_cursor(files, monkeypatch):
    monkeypatch.setattr(hasher, "sha256", endless)
    monkeypatch.setattr(Task, "progress_interval", 3600)  # Pilot waits until the window rests
    app = Hasher(files[0])
    async with app.run_test() as pilot:
        await pilot.press("down", "down", "down", "delete")
        cancelled = app.files["dir/file-03.txt"]
        await cancelled.stopped
        await pilot.pause()
        assert cancelled.state is WorkerState.CANCELLED
        assert column(app, 2)[3] == "cancelled"
    await all_ended(app)


@in_asyncio
async def test_the_search_box_shows_what_fits_and_the_last_search_wins(files):
    app = Hasher(files[0])
    async with app.run_test() as pilot:
        await all_ended(app)
        await pilot.press("shift+tab")
        await pilot.press(*"file-1")
        for worker in list(app.workers):
            await worker.wait()
        assert column(app, 0) == ["dir/file-10.txt", "dir/file-11.txt"]
        await pilot.press("escape")
        assert app.focused is app._table


@in_asyncio
async def test_a_file_that_cannot_be_read_shows_its_error(files):
    directory = files[0]
    app = Hasher(directory)
    (directory / "dangling").symlink_to(directory / "nowhere")
    async with app.run_test() as pilot:
        gone = app._hashing._new_worker(
            lambda: hashing.sha256(directory / "gone"),
            app,
            name="gone",
            thread=True,
            exit_on_error=False,
        )
        app.files["gone"] = gone
        app._show(["gone"])
        await gone.stopped
        await pilot.pause()
        assert column(app, 2) == ["error"]
        assert "No such file" in column(app, 3)[0]
        await all_ended(app)


def test_the_work_by_itself_reports_each_piece(files):
    directory, digests = files
    task = Task(lambda: hashing.sha256(directory / "dir/file-03.txt")).start()
    assert task.get() == digests["dir/file-03.txt"]
    assert (task.completed_steps, task.total_steps) == (150_000, 150_000)
