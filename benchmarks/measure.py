"""One measurement: ``python -m benchmarks.measure CASE CONTENDER SIZE`` prints it as JSON.

To be run in a fresh process, with the path and the interpreter that the harness chooses.
"""

import json
import os
import sys

from .cases import CASES
from .contenders import CONTENDERS


def main(case: str, contender: str, size: str) -> None:
    numbers = CASES[case].measure(CONTENDERS[contender], int(size))
    print(json.dumps(numbers), flush=True)
    os._exit(0)  # the end of what still idles is not what was asked for


if __name__ == "__main__":
    main(*sys.argv[1:])
