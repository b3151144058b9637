"""What threadtree costs, beside the bare interpreter, pyThreadWorker and pykka.

``python -m benchmarks`` (or ``make bench``) takes every number of :mod:`benchmarks.cases`, each in
a fresh process, and writes the table ``RESULTS.md`` next to this file. ``--help`` tells the rest.
"""
