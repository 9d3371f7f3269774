"""docs/proofs.md: which fault turned which row red, written by the run that saw it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hale.results import Row
from hale.standard import Requirement
from tests.faults.fault import Fault, Recorded

REAL = "real host"
RECORDED = "recorded evidence"

HEAD = """\
# Proofs

For every requirement and aspect: the faults that turned it red. Written by `tests/faults`,
which injects each fault on one of the lab's hosts, audits all of them, and finds that exactly
the rows named for that fault turn, for the reason named. A row without a fault that turns it
on a real host proves nothing yet; only what the lab's one kernel for all hosts cannot show may
stand here with recorded evidence alone.

"""


@dataclass
class Proofs:
    """The faults that a run has seen turn exactly the rows that they should."""

    seen: dict[str, Fault | Recorded] = field(default_factory=dict)

    def add(self, fault: Fault | Recorded) -> None:
        """This fault turned its rows, and no others."""
        self.seen[fault.name] = fault


def page(stated: Iterable[Requirement], faults: Iterable[Fault | Recorded]) -> str:
    """The page, in the standard's order and the table's, without times: a rerun changes nothing."""
    by_row: dict[tuple[str, str], list[str]] = {}
    harmless = []
    faults = list(faults)
    for fault in faults:
        how = REAL if isinstance(fault, Fault) else RECORDED
        for row, turn in fault.rows.items():
            cells = f"| {turn.verdict} | {fault.name} | {_where(row, fault)} | {how} |"
            by_row.setdefault((row.requirement, row.aspect), []).append(cells)
        if not fault.rows:
            harmless.append(f"- {fault.name}")
    text = HEAD
    for requirement in stated:
        text += f"## {requirement.id}\n\n{requirement.title}.\n\n"
        for aspect in requirement.aspects:
            text += f"### {requirement.id} {aspect}\n\n"
            found = by_row.get((requirement.id, aspect), [])
            if found:
                text += "| turned | by | on | how |\n|---|---|---|---|\n"
                text += "\n".join(found) + "\n\n"
            else:
                text += f"**No proof.** {WITHOUT.get((requirement.id, aspect), '')}".strip()
                text += "\n\n"
    text += "## What must not turn anything\n\nThese look like faults and are none:\n\n"
    return text + "\n".join(harmless) + "\n"


def _where(row: Row, fault: Fault | Recorded) -> str:
    return fault.host if row.host == fault.host else f"{row.host} (fault on {fault.host})"


# Aspects that no fault here turns at all, and why.
WITHOUT: Mapping[tuple[str, str], str] = {}

# What turns by recorded evidence alone, and why the lab's hosts cannot have the fault.
ONLY_RECORDED: Mapping[tuple[str, str], str] = {
    ("SWAP-OFF", "runtime"): "swap is the kernel's, and the lab's hosts share the machine's",
    ("MOD-BR-NETFILTER", "runtime"): "modules are the kernel's",
    ("BRIDGE-PROC", "runtime"): "the folder goes with the kernel's module",
    ("NODES-RESOURCES", "runtime"): "CPUs and memory are the machine's",
    ("ID-PRODUCT-UUID", "runtime"): "the lab's hosts have no DMI",
    ("CLOCK-SKEW", "runtime"): "the clock is the machine's",
    ("SEC-SELINUX", "runtime"): "SELinux is the kernel's",
}
