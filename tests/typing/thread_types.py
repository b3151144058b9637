"""What type checkers are to see of threads, queues and signals. Checked by mypy, and not run."""

from __future__ import annotations

from typing import Any, assert_type

from threadtree import (
    PLEASE_STOP,
    THREAD_STOP,
    THREAD_TIMEOUT,
    Future,
    Job,
    Lock,
    MainThread,
    PriorityQueue,
    Queue,
    RegisterThread,
    Signal,
    Straggler,
    Thread,
    ThreadedQueue,
    ThreadPool,
    Till,
    Worker,
    current_thread,
    join_all_threads,
    locked,
    main,
    register_thread,
    start_main_thread,
    stop_main_thread,
    wait_for_shutdown_signal,
)


def target(number: int, *, please_stop: Signal) -> str:
    return f"{number}{bool(please_stop)}"


def a_thread_has_the_type_of_its_result(signal: Signal) -> None:
    thread = Thread("name", target, 1)
    assert_type(thread, Thread[str])
    assert_type(Thread.run("name", target, 1), Thread[str])
    assert_type(Thread.run("name", lambda please_stop: 1.5, daemon=True), Thread[float])
    assert_type(Thread.run("name", target, 1, please_stop=signal, parent_thread=thread).join(), str)
    assert_type(thread.join(till=1.5), str)
    assert_type(thread.join(till=signal), str)
    assert_type(thread.get(timeout=1), str)
    assert_type(thread.result, str | None)
    assert_type(thread.error, BaseException | None)
    assert_type(thread.please_stop | thread.stopped, Signal)


async def a_thread_can_be_awaited(thread: Thread[str]) -> None:
    assert_type(await thread, str)


def what_returns_self_keeps_the_type(thread: Thread[str], lock: Lock) -> None:
    assert_type(thread.start().release().stop().pause().resume(), Thread[str])
    assert_type(thread.fire("NAME", 1), Thread[str])
    with thread as running:
        assert_type(running, Thread[str])
    with lock as taken:
        assert_type(taken, Lock)


def many_together(threads: list[Thread[int]], workers: list[Worker[str]], till: Signal) -> None:
    assert_type(join_all_threads(threads), list[int])
    assert_type(join_all_threads(threads, till=1.5), list[int])
    assert_type(join_all_threads(workers, till), list[str])
    assert_type(Thread.join_all(threads), list[int])


def a_queue_has_the_type_of_its_items(queue: Queue[int], till: Signal) -> None:
    assert_type(queue.pop(), int | None)
    assert_type(queue.pop(till=till), int | None)
    assert_type(queue.pop_one(), int | None)
    assert_type(queue.pop_all(), list[int])
    assert_type(queue.get(timeout=1.5), int)
    for item in queue:
        assert_type(item, int)
    assert_type(queue.add(1).push(2).extend([3]).push_all((4, 5)).close(), Queue[int])
    assert_type(queue.join(till=1.5), bool)
    assert_type(queue.closed, Signal)
    made: Queue[str] = Queue("name", max=3, unique=True)
    assert_type(made.pop(), str | None)


def so_have_its_relatives(ranked: PriorityQueue[int], slow: list[str]) -> None:
    assert_type(ranked.add(1, priority=2).push(2, priority=0), PriorityQueue[int])
    assert_type(ranked.pop(priority=1), int | None)
    assert_type(ranked.highest_entry(), int | None)
    to_a_list: ThreadedQueue[str] = ThreadedQueue("name", slow, batch_size=3, period=0.5)
    with to_a_list as threaded:
        assert_type(threaded.add("item"), ThreadedQueue[str])
        assert_type(threaded.thread, Thread[None])
    assert_type(to_a_list.stop(), ThreadedQueue[str])


def a_pool_gives_typed_futures() -> None:
    with ThreadPool(3) as pool:
        assert_type(pool, ThreadPool)
        assert_type(pool.run("name", target, 1), Future[str])
        assert_type(pool.run("name", target, 1).wait(till=1.5), str)
    future: Future[int] = Future()
    assert_type(future.assign(1).fail(ValueError()), Future[int])
    assert_type(future.is_ready, Signal)


def tills_and_locks(lock: Lock) -> None:
    assert_type(Till(seconds=1) | Till(till=1.5) & Signal(), Signal)
    assert_type(lock.wait(), bool)
    assert_type(lock.wait(till=Till(seconds=1)), bool)

    @locked
    def one_at_a_time(number: int, *, flag: bool = False) -> str:
        return f"{number}{flag}"

    assert_type(one_at_a_time(1, flag=True), str)


def the_main_thread(signal: Signal) -> None:
    assert_type(MainThread, Job[Any])
    assert_type(start_main_thread(), Job[Any])
    assert_type(stop_main_thread(silent=True), list[Straggler])
    assert_type(wait_for_shutdown_signal(signal, allow_exit=True, wait_forever=False), int)
    with main() as thread:
        assert_type(thread, Job[Any])


def threads_of_others() -> None:
    with RegisterThread("name") as thread:
        assert_type(thread, Job[Any])

    @register_thread
    def callback(number: int) -> str:
        return str(number)

    assert_type(callback(1), str)
    assert_type(Thread.current(), Job[Any])
    assert_type(current_thread(), Job[Any])


def the_words() -> None:
    words: list[str] = [PLEASE_STOP, THREAD_STOP, THREAD_TIMEOUT]
    print(words)


def what_a_type_checker_refuses(queue: Queue[int], lock: Lock) -> None:
    Thread.run(target, "name")  # type: ignore[arg-type]
    Thread("name")  # type: ignore[call-arg]
    join_all_threads([1])  # type: ignore[arg-type]
    queue.add("item")  # type: ignore[arg-type]
    queue.extend(["item"])  # type: ignore[list-item]
    ThreadedQueue("name", 3)  # type: ignore[arg-type]
    Future[int]().assign("value")  # type: ignore[arg-type]
    lock.wait("soon")  # type: ignore[arg-type]
    locked(3)  # type: ignore[arg-type]
