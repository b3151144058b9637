"""The display with live progress bars, by rich."""

from __future__ import annotations

from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from threadtree import Event, later

from .display import Display, amount

__all__ = ["Bars"]

REDRAW = 0.05  # seconds from a change until it is seen, with all that has changed meanwhile


class Bars(Display):
    """A bar for all files together, and one for each download worker."""

    def run(self) -> None:
        name = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            auto_refresh=False,  # we draw when there is something new, and else sleep
            expand=True,
        )
        self._all = self._progress.add_task(self.hint, total=self.jobs, amount="")
        self._bars: dict[object, TaskID] = {}  # by the download worker
        self._redraw_is_due = False
        with self._progress:  # gives the terminal back as it was, also when the stop comes
            super().run()

    def on_begun(self, event: Event) -> None:
        job, size = event.data
        if event.target not in self._bars:
            self._bars[event.target] = self._progress.add_task("", amount="")
        bar = self._bars[event.target]
        self._show(bar, description=job.path.name, total=size or 0, completed=0, amount="")

    def on_bytes(self, event: Event) -> None:
        bar = self._bars[event.target]
        received = self._progress.tasks[bar].completed + event.data
        self._show(bar, completed=received, amount=amount(received))

    def on_fetched(self, event: Event) -> None:
        super().on_fetched(event)
        self._show_sum()

    def on_given_up(self, event: Event) -> None:
        super().on_given_up(event)
        self._show_sum()

    def on_paused(self, event: Event) -> None:
        self._show(self._all, description=f"paused; {self.hint}")

    def on_resumed(self, event: Event) -> None:
        self._show(self._all, description=self.hint)

    def write(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show_sum(self) -> None:
        text = f"{self.done} of {self.jobs} files, {amount(self.bytes)}"
        self._show(self._all, completed=self.done, amount=text)

    def _show(self, bar: TaskID, **what: Any) -> None:
        """Change a bar, and see to it that the change is drawn soon."""
        self._progress.update(bar, **what)
        if not self._redraw_is_due:
            self._redraw_is_due = True
            later(self._redraw, timeout=REDRAW)

    def _redraw(self) -> None:
        self._redraw_is_due = False
        self._progress.refresh()
