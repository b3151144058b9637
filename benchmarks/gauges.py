"""How numbers are taken of one contender in this process, which must be a fresh one.

A gauge gives them by their units. All are costs: less is better.
"""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, process_time, sleep

from .contenders import Contender

Numbers = dict[str, float]


def duration(contender: Contender, size: int, function: str) -> Numbers:
    course = contender.function(function)(size)
    next(course)
    begin = perf_counter()
    next(course, None)
    return {"ms": 1000 * (perf_counter() - begin)}


def memory(contender: Contender, size: int) -> Numbers:
    course = contender.function("idle")(size)
    next(course)
    before = _resident_bytes()
    next(course, None)
    return {"KiB each": (_resident_bytes() - before) / 1024 / size}


def idle_cpu(contender: Contender, size: int, function: str = "idle") -> Numbers:
    for _ in contender.function(function)(size):
        pass
    before = process_time()
    sleep(2)
    return {"ms of CPU": 1000 * (process_time() - before)}


def lateness(contender: Contender, size: int) -> Numbers:
    """How late functions are called that were asked for, out of order, in one second to come."""
    timeouts = [1 + i / size for i in range(size)]
    random.Random(size).shuffle(timeouts)
    late: list[float] = []
    all_landed = threading.Event()

    def land(due: float) -> None:
        late.append(monotonic() - due)
        if len(late) == size:
            all_landed.set()

    course = contender.function("later")(timeouts, land)
    next(course)
    before = native_threads()
    next(course, None)
    more = native_threads() - before
    all_landed.wait()
    return {"ms late (p99)": 1000 * sorted(late)[size * 99 // 100], "more threads": more}


def till_lateness(contender: Contender, size: int) -> Numbers:
    """How late a Till wakes the thread that waits for it."""
    late: list[float] = []
    contender.function("tills")(size, lambda due: late.append(monotonic() - due))
    return {"ms late (median)": 1000 * median(late)}


_IMPORT = """
import sys
from time import perf_counter
begin = perf_counter()
import {imports}
ms = 1000 * (perf_counter() - begin)
asyncio = sum(name.split(".")[0] == "asyncio" for name in sys.modules)
from benchmarks.gauges import json, native_threads
numbers = {{"ms": ms, "asyncio modules": asyncio, "threads started": native_threads() - 1}}
print(json.dumps(numbers))
"""


def import_time(contender: Contender, size: int) -> Numbers:
    """The last of ``size`` imports, each in a process that has imported nothing before: the
    first one may have to write bytecode."""
    command = [sys.executable, "-c", _IMPORT.format(imports=contender.imports)]
    for _ in range(size):
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    numbers: Numbers = json.loads(answer)
    return numbers


def native_threads() -> int:
    tasks = Path("/proc/self/task")  # shows those too that the threading module does not know
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # not on Windows, where this number cannot be had

    # The peak, which is as good: what is measured only grows. Bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
