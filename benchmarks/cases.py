"""The table: what is measured, of whom, and what must hold of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from .contenders import ASYNC, BARE, MO_THREADS, PYKKA, PYTHREADWORKER, THREADTREE, Contender
from .gauges import Numbers, duration, idle_cpu, import_time, lateness, memory, till_lateness

Round = dict[str, Numbers]
"""What was measured, one process after the other, by the names of the contenders."""


@dataclass(frozen=True)
class Bar:
    """A limit to a number of threadtree; with ``against``, to its ratio to that of another."""

    limit: float
    unit: str = "ms"
    against: Contender | None = None
    speed: bool = False  # the limit is a least speed instead of a greatest cost

    def measured(self, rounds: list[Round]) -> float:
        return median(map(self._measured_in, rounds))

    def _measured_in(self, numbers: Round) -> float:
        ours = numbers[THREADTREE.name][self.unit]
        if self.against is None:
            return ours
        theirs = numbers[self.against.name][self.unit]
        return theirs / ours if self.speed else ours / theirs

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.speed else value <= self.limit

    def text(self, value: float) -> str:
        return f"{value:.3g}" + (f" {self.unit}" if self.against is None else "x")

    def __str__(self) -> str:
        if self.against is None:
            return f"≤ {self.limit:g} {self.unit}" if self.limit else f"no {self.unit}"
        if self.speed:
            return f"≥ {self.limit:g}x the speed of {self.against.name}"
        return f"≤ {self.limit:g}x that of {self.against.name}"


@dataclass(frozen=True)
class Case:
    """Something that is measured in each contender that can do it."""

    name: str  # also of the contenders' function, where it is the duration of that
    title: str
    size: int
    quick: int  # the size for a look at whether it works
    bars: tuple[Bar, ...]
    how: str
    gauge: Callable[[Contender, int], Numbers] | None = None
    contenders: tuple[Contender, ...] = (THREADTREE, PYTHREADWORKER, PYKKA, BARE)

    def measure(self, contender: Contender, size: int) -> Numbers:
        return (self.gauge or partial(duration, function=self.name))(contender, size)


def least_speed(limit: float, against: Contender) -> Bar:
    return Bar(limit, against=against, speed=True)


def most_cost(limit: float, against: Contender, unit: str = "ms") -> Bar:
    return Bar(limit, unit, against)


_ALL = [
    Case(
        "events",
        "{size:,} events that one thread fires at one worker with one listener",
        100_000,
        10_000,
        (least_speed(4, PYTHREADWORKER), least_speed(2.3, PYKKA), least_speed(0.12, BARE)),
        "From the first one fired to the end of the thread that has counted them all. pykka: "
        "`tell` and `on_receive`; bare Python: a SimpleQueue and a call.",
    ),
    Case(
        "ping_pong",
        "{size:,} times ping-pong between two workers",
        30_000,
        500,
        (most_cost(1, PYTHREADWORKER),),
        "`fire` and `wait_event` in turn. pykka: `tell` in `on_receive`; bare Python: a "
        "SimpleQueue for each direction.",
    ),
    Case(
        "one_by_one",
        "{size:,} times `async_(f).get()`, one after another",
        5_000,
        100,
        (most_cost(1, PYTHREADWORKER), most_cost(1.6, BARE)),
        "Bare Python: the start of a Thread and its join, without a result.",
        contenders=(THREADTREE, PYTHREADWORKER, BARE),
    ),
    Case(
        "at_once",
        "{size:,} `async_(f)` at once, then all `get()`",
        2_000,
        100,
        (most_cost(0.8, PYTHREADWORKER),),
        "Bare Python: all Threads started, then all joined, without a result.",
        contenders=(THREADTREE, PYTHREADWORKER, BARE),
    ),
    Case(
        "channel",
        "{size:,} events published on one Channel with 100 subscribers",
        1_000,
        100,
        (least_speed(4, PYTHREADWORKER),),
        "From the first one published to the end of the last subscriber, all having counted all. "
        "pykka: `ActorRegistry.broadcast`; bare Python: a loop over 100 SimpleQueues.",
    ),
    Case(
        "later",
        "{size:,} pending `later(timeout=...)`, spread over 1 s",
        10_000,
        500,
        (Bar(20, "ms late (p99)"), Bar(1, "more threads")),
        "Asked for out of order, beginning 1 s from now; late is the call in the worker, threads "
        "are counted when all are pending. Bare Python: `sched` in a Thread. pythreadworker "
        "starts a thread for each.",
        lateness,
        contenders=(THREADTREE, BARE),
    ),
    Case(
        "stop_all",
        "the stop of a parent with {size:,} children",
        1_000,
        50,
        (most_cost(0.8, PYTHREADWORKER),),
        "Until the native threads of all have ended. pykka has no parents: "
        "`ActorRegistry.stop_all`; bare Python: a word in the SimpleQueue of each.",
    ),
    Case(
        "memory",
        "the memory of an idle worker, as one of {size:,}",
        500,
        50,
        (most_cost(0.9, PYTHREADWORKER, "KiB each"),),
        "The resident memory that the process has gained, its thread's included.",
        memory,
    ),
    Case(
        "import_time",
        "the import",
        2,
        2,
        (Bar(25), Bar(0, "asyncio modules"), Bar(0, "threads started")),
        "In an interpreter that has imported nothing else, from cached bytecode; what it "
        "has brought along is counted. Bare Python: queue and threading.",
        import_time,
    ),
    Case(
        "idle_cpu",
        "{size:,} idle workers for 2 s",
        100,
        100,
        (Bar(20, "ms of CPU"),),
        "The CPU time of the process while its main thread sleeps for these 2 s.",
        idle_cpu,
    ),
    Case(
        "run_and_join",
        "{size:,} times `Thread.run(...).join()`, one after another",
        2_000,
        50,
        (most_cost(0.3, MO_THREADS),),
        "Bare Python: the start of a Thread and its join, without a result.",
        contenders=(THREADTREE, MO_THREADS, BARE),
    ),
    Case(
        "queue",
        "{size:,} items through a bounded Queue, from one thread to another",
        50_000,
        1_000,
        (least_speed(3, MO_THREADS),),
        "From the first one added to the end of the thread that has popped them all. Bare "
        "Python: `queue.Queue`.",
        contenders=(THREADTREE, MO_THREADS, BARE),
    ),
    Case(
        "composite",
        "{size:,} times making `a | b` and firing it",
        20_000,
        500,
        (most_cost(1, MO_THREADS),),
        "The signals are there; one of them goes, and the composite is looked at.",
        contenders=(THREADTREE, MO_THREADS),
    ),
    Case(
        "make_tills",
        "{size:,} Tills made, and dropped",
        20_000,
        500,
        (most_cost(1, MO_THREADS),),
        "While the clock runs.",
        contenders=(THREADTREE, MO_THREADS),
    ),
    Case(
        "tills",
        "{size:,} Tills of 10 to 30 ms, waited for one after the other",
        100,
        10,
        (Bar(1, "ms late (median)"),),
        "Late is the thread that waits. Bare Python: `time.sleep`.",
        till_lateness,
        contenders=(THREADTREE, MO_THREADS, BARE),
    ),
    Case(
        "idle_waits",
        "{size:,} idle consumers of a Queue and as many idle waiters in a Lock, for 2 s",
        2,
        2,
        (Bar(10, "ms of CPU"),),
        "The CPU time of the process while its main thread sleeps for these 2 s.",
        partial(idle_cpu, function="idle_waits"),
        contenders=(THREADTREE, MO_THREADS),
    ),
    Case(
        "pool_one_by_one",
        "{size:,} times `Pool.submit(f).result()`, one after another",
        5_000,
        100,
        (most_cost(1.3, BARE),),
        "Pools of 4 threads. Bare Python: `ThreadPoolExecutor`.",
        contenders=(THREADTREE, BARE),
    ),
    Case(
        "pool_at_once",
        "{size:,} times `Pool.submit(f)` at once, then all `result()`",
        5_000,
        100,
        (most_cost(1.3, BARE),),
        "Likewise.",
        contenders=(THREADTREE, BARE),
    ),
    Case(
        "run_task",
        "{size:,} tasks in a thread, one after another, from the start to the result",
        2_000,
        50,
        (most_cost(1.5, ASYNC),),
        "Beside threadtree's own `async_(f).get()`.",
        contenders=(THREADTREE, ASYNC),
    ),
    Case(
        "advance",
        "{size:,} times `task.advance()`",
        1_000_000,
        10_000,
        (most_cost(2, BARE),),
        "By one thread. Bare Python: a method that takes a lock and adds.",
        contenders=(THREADTREE, BARE),
    ),
]

CASES = {case.name: case for case in _ALL}
