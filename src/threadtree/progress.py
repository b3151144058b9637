"""A picture of the running program: its tree, live on a terminal; elsewhere a line for each change.

Whoever starts, ends or makes progress tells us, on its own thread, by one append. One worker, which
the picture leaves out, sleeps until then, and draws; while something runs, it draws once a second,
for the sake of the clocks. Needs ``pip install threadtree[rich]``.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from .errors import text_of
from .node import Life, tree
from .outcomes import WorkerState
from .parking import FOREVER, seconds
from .redirects import following_handlers, streams_above
from .roots import Root
from .treetext import roots as all_roots
from .workers import Worker

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show"]

_TICK: Final = 1.0  # seconds between two pictures in which only the clocks differ
_SHOWN_ENDED: Final = 3  # of the children of one parent; of more there is a count
_STYLES: Final = {
    WorkerState.RUNNING: "cyan",
    WorkerState.SUCCESS: "green",
    WorkerState.CANCELLED: "yellow",
    WorkerState.ERROR: "red",
}


@contextmanager
def show(
    *,
    console: Console | None = None,
    nodes: Iterable[Any] | None = None,
    interval: float = 0.1,
    transient: bool = False,
) -> Iterator[None]:
    """Show what the program is doing, during a ``with`` block.

    On a terminal: the tree of all workers, threads and tasks, or of ``nodes`` and what is below
    them, with states, bars for what has a total, times, and errors; at most one picture each
    ``interval`` seconds, and nothing while nothing runs or changes. What the program prints or logs
    meanwhile appears above. The last picture stays, unless ``transient``. Elsewhere: a line for
    each start, each end, and each tenth of a total. ``console`` is that of rich to write to, by
    default one of the standard output.

    Raises ModuleNotFoundError without rich. Any thread; one picture at a time on one terminal.
    """
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        message = "threadtree.progress needs rich: pip install threadtree[rich]"
        raise ModuleNotFoundError(message, name="rich") from None

    console = console or Console()
    subject = _Subject(None if nodes is None else list(nodes))
    picture: _Picture
    if console.is_terminal and not console.is_dumb_terminal:
        picture = _Live(subject, console, transient)
    else:
        picture = _Lines(console)
    painter = _Painter(subject, picture, seconds(interval, "interval must be"))
    worker = Worker(painter.run, parent=False, daemon=True, name="progress")
    subject.hide(worker)
    tree.watchers[worker] = painter.note
    try:
        with picture.shown():  # before anybody draws, and until nobody does any more
            worker.start()
            try:
                yield
            finally:
                worker.stop().join()
    finally:
        tree.watchers.pop(worker, None)


class _Change(NamedTuple):
    """That a run of a node has come to a state, or somewhat further."""

    node: Any
    life: Life
    state: WorkerState
    when: float
    progress: float  # in percent


class _Picture(Protocol):
    """How changes are shown: by the painter's thread, in a ``with`` block of who wants it."""

    def shown(self) -> AbstractContextManager[None]:
        """A block in which it may be drawn."""

    def show(self, change: _Change) -> None:
        """Take in a change."""

    def draw(self) -> None:
        """Show what there is now."""

    @property
    def is_ticking(self) -> bool:
        """Whether it would look different after a while."""


class _Painter:
    """The worker's task. As a condition it is true when there is something new."""

    def __init__(self, subject: _Subject, picture: _Picture, interval: float) -> None:
        self._subject = subject
        self._picture = picture
        self._interval = interval
        self._changes: deque[_Change] = deque()  # put by anyone, taken by us
        self._worker: Worker[Any] | None = None

    def note(self, node: Any, life: Life) -> None:
        """A watcher: on whatever thread it happens."""
        if self._subject.has(node):
            self._changes.append(_Change(node, life, life.state, monotonic(), node.progress))
            worker = self._worker
            if worker is not None:
                worker.wake()

    def __bool__(self) -> bool:
        return bool(self._changes)

    def run(self) -> None:
        """Draw until a stop, and once more when it has come."""
        from .pool import current

        worker: Any = current()
        self._worker = worker  # from here on it is woken; what came before is there
        try:
            while True:
                self._draw()
                worker.wait_timeout(self._interval)
                tick = monotonic() + _TICK if self._picture.is_ticking else FOREVER
                worker.wait_for(self, tick)
        finally:
            self._draw()

    def _draw(self) -> None:
        while self._changes:
            self._picture.show(self._changes.popleft())
        self._picture.draw()


class _Subject:
    """What is to be seen: all nodes, or some and those below, without the painter itself."""

    def __init__(self, nodes: list[Any] | None) -> None:
        self._nodes = nodes
        self._hidden: Any = None

    def hide(self, node: Any) -> None:
        self._hidden = node

    def has(self, node: Any) -> bool:
        if node is self._hidden or isinstance(node, Root):
            return False
        if self._nodes is None:
            return True
        return node in self._nodes or any(above in self._nodes for above in node._ancestors())

    def tops(self) -> Iterator[Any]:
        """The topmost of them that run."""
        for node in all_roots() if self._nodes is None else self._nodes:
            if isinstance(node, Root):  # a thread of others; what matters is what it has begun
                yield from node._children.copy()
            elif node is not self._hidden and node._life.active:
                yield node


class _Lines:
    """A line for each change, for what is no terminal."""

    is_ticking = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[Life, float] = {}
        self._tenths: dict[Life, int] = {}

    def shown(self) -> AbstractContextManager[None]:
        return nullcontext()

    def draw(self) -> None:
        pass

    def show(self, change: _Change) -> None:
        node, life, state, when, progress = change
        if life not in self._begun and state is WorkerState.RUNNING:
            self._begun[life] = when
            self._say(f"{node.path}: {state.name}")
        elif state is WorkerState.RUNNING:
            tenth = int(progress // 10)
            if tenth > self._tenths.get(life, 0):
                self._tenths[life] = tenth
                self._say(f"{node.path}: {progress:.0f} %")
        else:
            begun = self._begun.pop(life, None)
            self._tenths.pop(life, None)
            after = "" if begun is None else f" after {_duration(when - begun)}"
            self._say(f"{node.path}: {state.name}{after}{_error_text(life)}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Ended:
    """What has ended below one parent: how many in each state, and the last few, as text."""

    def __init__(self) -> None:
        self.counts: Counter[WorkerState] = Counter()
        self.last: deque[tuple[Any, ...]] = deque(maxlen=_SHOWN_ENDED)

    def folded(self) -> str:
        """The count of those that are not shown."""
        more = sum(self.counts.values()) - len(self.last)
        return f"{more} more ended{self.failures()}"

    def failures(self) -> str:
        """How many have failed, if any."""
        failed = self.counts[WorkerState.ERROR]
        return f": {failed} of {sum(self.counts.values())} failed" if failed else ""


class _Live:
    """The tree, drawn again and again in its place at the bottom of the terminal, by rich."""

    def __init__(self, subject: _Subject, console: Console, transient: bool) -> None:
        from rich.live import Live

        self._subject = subject
        self._console = console
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=transient,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._drawing = threading.RLock()
        self._begun: dict[Life, float] = {}
        self._ended: dict[Any, _Ended] = {}  # by the parent, None for none
        self._since = monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        with following_handlers(), streams_above(self._console, self._drawing):
            self._live.start()
            try:
                yield
            finally:
                with self._drawing:
                    self._live.stop()

    @property
    def is_ticking(self) -> bool:
        return any(True for _ in self._subject.tops())

    def show(self, change: _Change) -> None:
        node, life, state, when, _ = change
        if state is WorkerState.RUNNING:
            self._begun.setdefault(life, when)
            return
        elapsed = when - self._begun.pop(life, self._since)
        below = self._ended.pop(node, None)
        error = _error_text(life) or ("" if below is None else below.failures())
        ended = self._ended.setdefault(self._place_of(node), _Ended())
        ended.counts[state] += 1
        steps = (node.completed_steps, node.total_steps)
        ended.last.append((node.name, state, steps, elapsed, error))

    def _place_of(self, node: Any) -> Any:
        parent = node._parent
        return None if parent is None or isinstance(parent, Root) else parent

    def draw(self) -> None:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        room = max(self._console.size.height - 2, 1)
        rows = self._rows()
        for row in rows:
            if room == 0:
                table.add_row(f"… {len(tree.live)} in all")
                break
            self._add_row(table, *row)
            room -= 1
        with self._drawing:
            self._live.update(table, refresh=True)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """Level by level where it is deep: depth first, each with what has ended below it."""
        pending: list[tuple[Any, int]] = [(node, 0) for node in self._subject.tops()]
        pending.reverse()
        while pending:
            node, depth = pending.pop()
            life = node._life
            elapsed = monotonic() - self._begun.get(life, self._since)
            state = "paused" if node.paused else _word(life)
            steps = (node.completed_steps, node.total_steps)
            yield depth, node.name, state, life.state, steps, elapsed, ""
            yield from self._ended_below(node, depth + 1)
            pending.extend((child, depth + 1) for child in reversed(node._children.copy()))
        yield from self._ended_below(None, 0)

    def _ended_below(self, parent: Any, depth: int) -> Iterator[tuple[Any, ...]]:
        ended = self._ended.get(parent)
        if ended is None:
            return
        if sum(ended.counts.values()) > len(ended.last):
            yield depth, ended.folded(), "", WorkerState.SUCCESS, (0, None), None, ""
        for name, state, steps, elapsed, error in ended.last:
            yield depth, name, state.name, state, steps, elapsed, error

    def _add_row(
        self,
        table: Any,
        depth: int,
        name: str,
        word: str,
        state: WorkerState,
        steps: tuple[int, int | None],
        elapsed: float | None,
        error: str,
    ) -> None:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        completed, total = steps
        bar: Any = Text(error[2:], style="red")
        if total and not error:
            bar = ProgressBar(total=total, completed=min(max(completed, 0), total), width=24)
        time = "" if elapsed is None else _duration(elapsed)
        style = _STYLES.get(state, "")
        table.add_row(Text("  " * depth + name), Text(word, style=style), Text(time), bar)


def _word(life: Life) -> str:
    return "asked to end" if life.please_stop else life.state.name


def _error_text(life: Life) -> str:
    outcome = life.outcome
    if outcome is None or outcome.error is None:
        return ""
    lines = text_of(outcome.error).splitlines()
    return f": {type(outcome.error).__name__}" + (f": {lines[0]}" if lines else "")


def _duration(span: float) -> str:
    if span < 60:
        return f"{span:.1f} s"
    minutes, rest = divmod(int(span), 60)
    return (
        f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
    )
