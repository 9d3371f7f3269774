"""The lab's hosts made compliant, and what audits them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.model.results import Results, RowKey
from hale.polling import wait_until
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
    complete: bool = True  # False while a fault is in, and after one that was not undone

    def typed(self, *arguments: str) -> Results:
        """`pytest --inventory=… --hosts=all`, in a process of its own."""
        hosts = () if any(a.startswith("--evidence") for a in arguments) else ("--hosts=all",)
        return audit.typed(self.reports, f"--inventory={self.inventory}", *hosts, *arguments)

    def mend(self) -> None:
        """Begin anew with fresh hosts, after a fault whose undo did not bring a host back."""
        self.engine.close()
        baseline.fresh(self.lab)
        baseline.make(self.lab, self.inventory)
        settled(self.engine)
        self.complete = True


def settled(engine: audit.Engine) -> audit.Rows:
    """The rows of compliant hosts, once they are as they should be: all later ones are compared
    with them. Hosts that were just made may measure their clock still. Where they do not become
    so, test_baseline.py reports it.
    """
    found: dict[RowKey, audit.JudgedRow] = {}

    def pending() -> bool:
        found.update(engine.audit())
        return bool(audit.not_compliant(found))

    wait_until(pending, 120.0, 2.0)
    return found


@pytest.fixture(scope="package")
def compliant(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compliant]:
    """The lab, compliant but for what a lab without a cluster cannot have."""
    folder = tmp_path_factory.mktemp("faults")
    inventory = folder / "inventory.ini"
    baseline.fresh(lab)
    baseline.make(lab, inventory)
    engine = audit.Engine(inventory)
    yield Compliant(lab, inventory, engine, folder / "reports", settled(engine))
    engine.close()
    baseline.fresh(lab)
