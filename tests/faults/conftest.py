"""The lab's hosts made compliant, and what audits them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.model.results import Results
from lab.faults import baseline
from lab.machine import Lab
from tests.faults import audit


@dataclass
class Compliant:
    """The compliant lab: its inventory, the engine that audits it, and how it is without faults."""

    lab: Lab
    inventory: Path
    engine: audit.Engine
    reports: Path
    before: audit.Rows
    whole: bool = True  # False while a fault is in, and after one that was not undone

    def typed(self, *arguments: str) -> Results:
        """`pytest --inventory=… --hosts=all`, in a process of its own."""
        hosts = () if any(a.startswith("--evidence") for a in arguments) else ("--hosts=all",)
        return audit.typed(self.reports, f"--inventory={self.inventory}", *hosts, *arguments)

    def mend(self) -> None:
        """Begin anew with fresh hosts, after a fault whose undo did not bring a host back."""
        self.engine.close()
        baseline.fresh(self.lab)
        baseline.make(self.lab, self.inventory)
        self.whole = True


@pytest.fixture(scope="package")
def compliant(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compliant]:
    """The lab, compliant but for what a lab without a cluster cannot have."""
    folder = tmp_path_factory.mktemp("faults")
    inventory = folder / "inventory.ini"
    baseline.fresh(lab)
    baseline.make(lab, inventory)
    engine = audit.Engine(inventory)
    yield Compliant(lab, inventory, engine, folder / "reports", engine.audit())
    engine.close()
    baseline.fresh(lab)
