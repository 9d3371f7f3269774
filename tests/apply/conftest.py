"""Hosts that comply, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from lab.machine import Lab
from tests.apply.ready import Ready
from tests.faults import baseline


@pytest.fixture(scope="package")
def ready(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """The lab's five hosts, compliant and in no cluster."""
    made = Ready(lab, tmp_path_factory.mktemp("apply"))
    yield made
    made.close()
    baseline.fresh(lab)
