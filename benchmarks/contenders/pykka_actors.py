"""pykka's vocabulary: actors that receive messages. It has no timers and no one-off tasks."""

# pykka lives in the environment of the peers only:
# mypy: disable-error-code="import-not-found, misc"

from collections.abc import Iterator
from threading import Event, Semaphore
from typing import Any

from pykka import ActorRegistry, ThreadingActor


class Counter(ThreadingActor):
    def __init__(self, totals: list[int]) -> None:
        super().__init__()
        self.totals = totals
        self.handled = 0

    def on_receive(self, message: int) -> None:
        self.handled += 1

    def on_stop(self) -> None:
        self.totals.append(self.handled)


def events(n: int) -> Iterator[None]:
    totals: list[int] = []
    counter = Counter.start(totals)
    yield
    for i in range(n):
        counter.tell(i)
    counter.stop()  # is handled after the ticks, and waited for
    assert totals == [n]


def channel(n: int, subscribers: int = 100) -> Iterator[None]:
    totals: list[int] = []
    for _ in range(subscribers):
        Counter.start(totals)
    yield
    for i in range(n):
        ActorRegistry.broadcast(i)
    ActorRegistry.stop_all()
    assert totals == [n] * subscribers


class Player(ThreadingActor):
    def __init__(self, over: Event) -> None:
        super().__init__()
        self.over = over

    def on_receive(self, message: tuple[int, Any]) -> None:
        left, opponent = message
        if left:
            opponent.tell((left - 1, self.actor_ref))
        else:
            self.over.set()


def ping_pong(n: int) -> Iterator[None]:
    over = Event()
    pinger, ponger = Player.start(over), Player.start(over)
    yield
    pinger.tell((2 * n, ponger))
    over.wait()
    ActorRegistry.stop_all()


class Idler(ThreadingActor):
    def __init__(self, ready: Semaphore) -> None:
        super().__init__()
        self.ready = ready

    def on_start(self) -> None:
        self.ready.release()


def start_idlers(n: int) -> None:
    ready = Semaphore(0)
    for _ in range(n):
        Idler.start(ready)
    for _ in range(n):
        ready.acquire()


def stop_all(n: int) -> Iterator[None]:
    start_idlers(n)
    yield
    ActorRegistry.stop_all()


def idle(n: int) -> Iterator[None]:
    yield
    start_idlers(n)
