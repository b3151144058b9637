"""Runs each measurement in a fresh process, the contenders taking turns, all of them with one
interpreter: that of an environment made for the peers, which threadtree joins by the path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .cases import Case, Round
from .contenders import Contender
from .gauges import Numbers

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "benchmarks/.venv-peers"
PACKAGES = {"pythreadworker": "==0.10.0", "mo-threads": ">=6.704", "pykka": ">=4"}


class BenchmarkError(Exception):
    """A process of ours ended with an error, or not in time."""


def run(*command: str | Path, **environment: str) -> str:
    """Run a command to its end, and give what it printed."""
    line = " ".join(map(str, command))
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired as late:
        raise BenchmarkError(f"{line} did not end in {late.timeout:g} s") from None
    if done.returncode:
        raise BenchmarkError(f"{line} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


class Peers:
    """The other libraries, in an environment of their own: made at the first use, and anew for
    another interpreter."""

    def __init__(self) -> None:
        self.python = PEERS / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        wanted = repr((sys.version, sys.base_prefix, PACKAGES))
        made_for = PEERS / "made-for"
        if not made_for.exists() or made_for.read_text() != wanted:
            run(sys.executable, "-m", "venv", "--clear", PEERS)
            packages = [name + version for name, version in PACKAGES.items()]
            run(self.python, "-m", "pip", "install", "--quiet", *packages)
            made_for.write_text(wanted)

    def versions(self) -> str:
        """What is installed, for the record."""
        script = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
        versions = run(self.python, "-c", script, *PACKAGES).split()
        return ", ".join(map(" ".join, zip(PACKAGES, versions, strict=True)))


def measure(peers: Peers, case: Case, contender: Contender, size: int) -> Numbers:
    path = os.pathsep.join(str(ROOT / part) for part in ("", *contender.path))
    answer = run(
        *(peers.python, "-m", "benchmarks.measure", case.name, contender.name, str(size)),
        PYTHONPATH=path,
        PYTHONDONTWRITEBYTECODE="",  # bytecode is cached for all of them, or an import is unfair
    )
    numbers: Numbers = json.loads(answer)
    return numbers


def play(peers: Peers, case: Case, rounds: int, size: int) -> Iterator[Round]:
    """In each round every contender is measured once; each time another one begins."""
    for number in range(rounds):
        first = number % len(case.contenders)
        order = case.contenders[first:] + case.contenders[:first]
        yield {each.name: measure(peers, case, each, size) for each in order}
