"""A short form of the stress run; ``python -m tests.stress`` is the long one."""

from __future__ import annotations

import pytest

from .helpers import hectic_switching
from .stress import run_round


@pytest.mark.parametrize("seed", range(12))
def test_every_event_is_accounted_for_under_stress(seed):
    with hectic_switching():
        assert run_round(seed).expected
