"""What was measured, as the text of RESULTS.md."""

import os
import platform
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from .cases import Case, Round
from .contenders import CONTENDERS

_HEAD = """# What it costs

Written by `python -m benchmarks`: {interpreter}; {machine}; {peers}.

Every contender does the same work, is measured once in each of {rounds} rounds, and each time in a
fresh process. A ratio is the median of the rounds' ratios, any other number the median of the
rounds.
"""


@dataclass(frozen=True)
class Result:
    case: Case
    size: int
    rounds: list[Round]

    @property
    def title(self) -> str:
        return self.case.title.format(size=self.size)

    @property
    def held(self) -> bool:
        return all(bar.holds(bar.measured(self.rounds)) for bar in self.case.bars)

    def against_bars(self) -> Iterable[tuple[str, ...]]:
        for bar in self.case.bars:
            value = bar.measured(self.rounds)
            held = "yes" if bar.holds(value) else "**no**"
            yield self.title, bar.text(value), str(bar), held

    def medians(self) -> Iterable[tuple[str, ...]]:
        first = self.rounds[0]
        for unit in next(iter(first.values())):
            values = (
                _digits(median(one[name][unit] for one in self.rounds)) if name in first else ""
                for name in CONTENDERS
            )
            yield self.title, unit, *values


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(*rows: tuple[str, ...]) -> str:
    """Markdown; the first row is the head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


def verdict(results: list[Result]) -> str:
    rows = [row for result in results for row in result.against_bars()]
    return table(("case", "measured", "bar", "held?"), *rows)


def page(results: list[Result], peers: str) -> str:
    medians = [row for result in results for row in result.medians()]
    parts = (
        _HEAD.format(
            interpreter=interpreter(),
            machine=f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores",
            peers=peers,
            rounds=len(results[0].rounds),
        ),
        verdict(results),
        "\n## The numbers behind\n",
        table(("case", "unit", *CONTENDERS), *medians),
        "\n## How each is taken\n",
        *(f"- **{result.title}**: {result.case.how}" for result in results),
    )
    return "\n".join(parts) + "\n"


def interpreter() -> str:
    free_threaded = ", free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{platform.python_implementation()} {platform.python_version()}{free_threaded}"
