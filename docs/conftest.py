"""The examples in these pages run under the leak check of the tests."""

from tests.conftest import no_leaks as no_leaks

collect_ignore = ["docstrings.py"]  # for the builder of the site, which may not be installed
