"""What all of the suite's own tests share: one lab for the whole run, raised when first asked."""

import os
from collections.abc import Iterator

import pytest

from lab import machine


@pytest.fixture(scope="session")
def lab() -> Iterator[machine.Lab]:
    """Five real hosts of this run's own; skips, saying why, where there can be none."""
    reason = machine.unavailable()
    if reason:
        pytest.skip(f"no lab: {reason}")
    with machine.raised(f"test-{os.getpid()}") as raised:
        yield raised
