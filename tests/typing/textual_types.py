"""What type checkers are to see of threadtree.textual. Checked by mypy, and not run."""

from __future__ import annotations

from typing import assert_type

from textual.app import App

from threadtree.textual import Worker, WorkerState, work


class Program(App[None]):
    @work
    async def plain(self, number: int) -> str:
        return str(number)

    @work(exclusive=True, group="search", name="n", description=None, exit_on_error=False)
    async def with_options(self, number: int, *, flag: bool = False) -> str:
        return str(number)

    @work(thread=True)
    def in_a_thread(self, text: str) -> int:
        return len(text)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        assert_type(event.state, WorkerState)

    def on_worker_progress_changed(self, event: Worker.ProgressChanged) -> None:
        assert_type(event.completed_steps, int)
        assert_type(event.total_steps, int | None)


async def call(app: Program) -> None:
    assert_type(app.plain(1), Worker[str])
    assert_type(app.with_options(1, flag=True), Worker[str])
    assert_type(app.in_a_thread("text"), Worker[int])
    assert_type(await app.plain(1).wait(), str)
    assert_type(app.in_a_thread("text").result, int | None)
    assert_type(app.plain(1).is_running, bool)
    app.plain("1")  # type: ignore[arg-type]
    app.in_a_thread(text=1)  # type: ignore[arg-type]
    work(colour="red")  # type: ignore[call-overload]


async def nothing() -> int:
    return 1


def make(app: Program) -> None:
    assert_type(Worker(app, nothing), Worker[int])
    assert_type(Worker(app, nothing()), Worker[int])
    assert_type(Worker(app, lambda: "text", thread=True), Worker[str])
