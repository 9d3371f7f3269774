"""A cluster that stands, and what audits it again and again."""

from dataclasses import dataclass, field

from hale.results import Row
from lab.machine import Lab
from tests.faults import audit

HELLO = ("OS-RELEASE", "runtime")  # a row that every host has that answers at all


@dataclass
class Standing:
    """The cluster's lab, the engine that audits it, and its rows without faults."""

    lab: Lab
    engine: audit.Engine
    before: audit.Rows = field(default_factory=dict)
    silent: frozenset[str] = frozenset()  # hosts that gave no answer at the last look

    def look(self) -> audit.Rows:
        """Every row, over the connections of the last look; those that broke are made anew."""
        rows = self.engine.audit(anew=self.silent)
        self.silent = frozenset(
            host for host in self.engine.targets if rows[Row(host, *HELLO)].verdict == "UNKNOWN"
        )
        return rows

    def begin(self) -> None:
        """Look until every host has answered: a busy machine may keep one from it."""
        for _ in range(5):
            self.before = self.look()
            if not self.silent:
                return
        raise AssertionError(f"no answer of {', '.join(sorted(self.silent))}")
