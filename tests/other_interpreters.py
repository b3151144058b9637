"""Runs the suite on every other supported interpreter that is found.

    python -m tests.other_interpreters [argument of pytest...]

Looks for python3.11 and later on the PATH, in pyenv's versions, and in FREE_THREADED_PYTHON; tests
each (version, build) once, in a virtual environment of its own below .venv-others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MINORS = range(11, 15)
TELL = """
import sys, sysconfig
print(*sys.version_info[:2], sysconfig.get_config_var("Py_GIL_DISABLED") or 0)
"""
OPTIONAL = ["yappi>=1.6"]  # not there for every interpreter; tests that want it are skipped


def candidates() -> Iterator[str]:
    yield os.environ.get("FREE_THREADED_PYTHON", "")
    for minor in MINORS:
        for name in (f"python3.{minor}", f"python3.{minor}t"):
            yield shutil.which(name) or ""
            yield from map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))


def identity(python: str) -> str | None:
    """Such as "3 13 1" for a free-threaded 3.13; None for what does not run."""
    try:
        told = subprocess.run([python, "-c", TELL], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()


def interpreters() -> dict[str, str]:
    """Identity -> path, without our own."""
    found: dict[str, str] = {}
    for python in filter(None, candidates()):
        told = identity(python)
        if told is not None:
            found.setdefault(told, python)
    found.pop(identity(sys.executable) or "", None)
    return found


def test_with(python: str, told: str) -> bool:
    """Whether the suite passes on this interpreter."""
    home = ROOT / ".venv-others" / told.replace(" ", "-")
    there = home / "bin" / "python"
    if not there.exists():
        subprocess.run([python, "-m", "venv", home], check=True)
    # Wheels only: not every interpreter has the tools to build what is published without one.
    pip = [there, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, "pip>=25.1"], check=True)  # which knows groups
    subprocess.run([*pip, "--group", "test"], cwd=ROOT, check=True)
    for package in OPTIONAL:
        subprocess.run([*pip, package], check=False, stderr=subprocess.DEVNULL)
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "compat/worker/src"))
    environment = {**os.environ, "PYTHONPATH": paths}
    tests = [there, "-m", "pytest", *sys.argv[1:]]
    return subprocess.run(tests, cwd=ROOT, env=environment).returncode == 0


def main() -> int:
    failed = []
    for told, python in sorted(interpreters().items()):
        print(f"== {python} ({told})", flush=True)
        if not test_with(python, told):
            failed.append(python)
    print("failed on:" if failed else "passed on every interpreter that was found", *failed)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
