"""The window: a box to search in, and a table of the files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Header, Input

from threadtree.textual import Worker, WorkerManager, WorkerState, work

from .hashing import sha256

__all__ = ["Hasher"]

AT_A_TIME = 4  # files
BAR = 20  # characters
COLUMNS = ("file", "progress", "state", "SHA-256")


class Hasher(App[None]):
    """Hashes the files of a directory. A row shows the state of its worker, which does not lie."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause/resume"),
        Binding("delete", "cancel", "Cancel file"),
        Binding("escape", "focus_files", "To the files"),
    ]

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.title = f"SHA-256 of {directory}"
        self.paused = False
        self.files: dict[str, Worker[str]] = {}
        self._directory = directory
        self._table: DataTable[str] = DataTable(cursor_type="row")
        self._hashing = WorkerManager(self, limit=AT_A_TIME)

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Header()
        yield Input(placeholder="search")
        yield self._table
        yield Footer()

    def on_mount(self) -> None:
        """Begin with all files."""
        self._table.add_columns(*((column, column) for column in COLUMNS))
        for path in sorted(self._directory.rglob("*")):
            if path.is_file():
                name = str(path.relative_to(self._directory))
                worker = Worker(
                    self,
                    partial(sha256, path),
                    name=name,
                    group="hashing",
                    exit_on_error=False,  # a file that cannot be read is no reason to end
                    thread=True,
                )
                self._hashing.add_worker(worker, exclusive=False)
                self.files[name] = worker
        self._show(list(self.files))
        self._table.focus()

    # -- what the workers tell -------------------------------------------------------------------

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker has begun or ended."""
        self._show_worker(event.worker)

    def on_worker_progress_changed(self, event: Worker.ProgressChanged) -> None:
        """A worker has come further."""
        self._show_worker(event.worker)

    def _show_worker(self, worker: Worker[Any]) -> None:
        if self._table.is_attached and worker.name in self._table.rows:
            for column, text in zip(COLUMNS, _row(worker), strict=True):
                self._table.update_cell(worker.name, column, text, update_width=True)

    def _show(self, names: list[str]) -> None:
        self._table.clear()
        for name in names:
            self._table.add_row(*_row(self.files[name]), key=name)

    # -- what the user does ----------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """The user types: search anew."""
        self.search(event.value)

    @work(exclusive=True, group="search")
    async def search(self, text: str) -> None:
        """Show the files whose name or digest has this in it."""
        words = text.lower().split()

        def fits(name: str) -> bool:
            line = f"{name} {self.files[name].result or ''}".lower()
            return all(word in line for word in words)

        self._show([name for name in self.files if fits(name)])

    def action_pause(self) -> None:
        """Have all workers rest, or go on."""
        self.paused = not self.paused
        for worker in self.files.values():
            if self.paused:
                worker.pause()
            else:
                worker.resume()
        self.sub_title = "paused" if self.paused else ""

    def action_cancel(self) -> None:
        """Cancel the file under the cursor."""
        if self._table.row_count:
            key = self._table.coordinate_to_cell_key(self._table.cursor_coordinate).row_key
            self.files[str(key.value)].cancel()

    def action_focus_files(self) -> None:
        """Leave the box."""
        self._table.focus()

    def on_unmount(self) -> None:
        """The window is closed: cancel what still runs."""
        self._hashing.cancel_all()


def _row(worker: Worker[str]) -> tuple[str, str, str, str]:
    filled = round(BAR * worker.progress / 100)
    if worker.state is WorkerState.SUCCESS:
        filled = BAR  # also of an empty file
    bar = "━" * filled + "╌" * (BAR - filled)
    outcome = worker.result or (str(worker.error) if worker.error else "")
    return worker.name, bar, worker.state.name.lower(), outcome
