"""Hosts that comply, for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.faults import baseline
from lab.machine import Lab
from tests.apply.compliant_lab import Ready
from tests.apply.invoke_cli import Operator


@pytest.fixture(scope="package")
def ready(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """The lab's five hosts, compliant and in no cluster."""
    made = Ready(lab, tmp_path_factory.mktemp("apply"))
    yield made
    made.close()
    baseline.fresh(lab)


@pytest.fixture
def operator(ready: Ready, tmp_path: Path) -> Iterator[Operator]:
    """Somebody who types; afterwards the hosts keep nothing of their runs."""
    yield Operator(ready, tmp_path / "reports")
    for host in ready.lab.hosts:
        host.run("rm -rf /var/lib/hale")
