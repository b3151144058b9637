"""Many trees, driven at random from several threads, with every event accounted for.

    python -m tests.stress --seconds 600

Each round builds trees of workers, lets several threads fire, stop, pause, resume, restart, spawn,
wait and schedule at random, with a switch interval of a microsecond, then ends everything and
checks: each event was dispatched once or rejected once by each worker it was for; each callback of
``later`` ran at most once, and not after its handle was stopped; nothing runs any more.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter
from typing import Any

import threadtree
from threadtree import Worker, wait_forever
from threadtree.node import tree as live_tree

from .helpers import hectic_switching, in_threads

DRIVERS = 4
ACTIONS = 150  # of each driver in a round
ROOTS, MOST_WORKERS = 4, 40
GRACE = threadtree.graces.asked * 0.8  # no end may need the second rung of the ladder


class Witness(Worker[Any]):
    """A worker that notes each event X it dispatches or rejects."""

    def __init__(self, round_: Round, parent: Worker[Any] | None) -> None:
        super().__init__(self.work, parent=parent or False, name="witness")
        self.round = round_
        self.dispatched: list[int] = []
        self.refused: list[int] = []
        self.listen(lambda event: self.dispatched.append(event.data), "X")
        self.listen(lambda event: round_.new_worker(self), "SPAWN")

    def work(self) -> None:
        try:
            wait_forever()
        finally:
            if random.random() < 0.3:
                threadtree.sleep(random.random() / 1000)

    def _tell_sender(self, event: threadtree.Event) -> None:
        if event.name == "X":
            self.refused.append(event.data)
        super()._tell_sender(event)


class Round:
    """One forest, what was done to it, and whether it all adds up."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.workers: list[Witness] = []
        self.expected: list[tuple[Witness, int]] = []  # who is to get which event
        self.ran: list[int] = []  # the later() callbacks that ran
        self.stopped_in_time: list[int] = []  # those that were stopped before they ran
        for _ in range(ROOTS):
            self.new_worker(None)

    def new_worker(self, parent: Witness | None) -> None:
        if len(self.workers) < MOST_WORKERS:
            worker = Witness(self, parent)
            self.workers.append(worker)
            try:
                worker.start()
            except threadtree.WorkerError:
                assert parent is not None  # it has just ended

    def drive(self, driver: int) -> None:
        choice = random.Random(self.seed * DRIVERS + driver)
        for number in range(ACTIONS):
            worker = choice.choice(self.workers)
            self.act(choice, worker, driver * ACTIONS + number)

    def act(self, choice: random.Random, worker: Witness, ident: int) -> None:
        kind = choice.choices(
            ["fire", "bubble", "stop", "now", "pause", "resume", "start", "spawn", "later", "wait"],
            [40, 10, 4, 2, 5, 8, 10, 8, 10, 3],
        )[0]
        if kind == "fire":
            self.expected.append((worker, ident))
            worker.fire("X", ident)
        elif kind == "bubble":
            self.expected += [(node, ident) for node in [worker, *worker._ancestors()]]
            worker.fire("X", ident, bubble=True)
        elif kind in ("stop", "now"):
            worker.stop(now=kind == "now")
        elif kind in ("pause", "resume"):
            getattr(worker, kind)()
        elif kind == "start":
            try:
                worker.start()
            except threadtree.WorkerError:
                pass  # its parent has ended
        elif kind == "spawn":
            worker.fire("SPAWN")
        elif kind == "later":
            self.schedule(choice, worker, ident)
        else:
            worker.stopped.wait(0.001)

    def schedule(self, choice: random.Random, worker: Witness, ident: int) -> None:
        handle = worker.later(self.ran.append, ident, timeout=choice.random() / 500)
        assert handle is not None
        if choice.random() < 0.5:
            handle.stop()
            if handle.state is threadtree.WorkerState.CANCELLED and ident not in self.ran:
                self.stopped_in_time.append(ident)

    def end(self) -> None:
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            worker.join(GRACE)

    def check(self) -> None:
        where = f"seed {self.seed}"
        expected = Counter((id(worker), ident) for worker, ident in self.expected)
        seen = Counter(
            (id(worker), ident)
            for worker in self.workers
            for ident in worker.dispatched + worker.refused + [e.data for e in waiting(worker)]
        )
        assert seen == expected, where
        assert max(Counter(self.ran).values(), default=1) == 1, where
        assert not set(self.ran) & set(self.stopped_in_time), where
        assert not [node for node in live_tree.live if isinstance(node, Witness)], where


def waiting(worker: Witness) -> list[threadtree.Event]:
    """Events X that wait for the start of a worker that could not start: its parent ended."""
    assert worker.state is threadtree.WorkerState.PENDING or not worker.backlog
    return [event for event in worker._mailbox.queue if event.name == "X"]


def run_round(seed: int) -> Round:
    """One round, reproducible up to the scheduling of threads."""
    random.seed(seed)
    round_ = Round(seed)
    try:
        in_threads(*(lambda d=d: round_.drive(d) for d in range(DRIVERS)))  # type: ignore[misc]
    finally:
        round_.end()
    round_.check()
    return round_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    rounds = events = 0
    with hectic_switching():
        while time.monotonic() < end:
            round_ = run_round(options.seed + rounds)
            rounds += 1
            events += len(round_.expected)
    threads = [t.name for t in threading.enumerate() if t.name == "witness"]
    assert not threads, threads
    print(f"{rounds} rounds, {events} events, each accounted for")


if __name__ == "__main__":
    main()
