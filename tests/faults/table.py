"""All faults, in the order of docs/proofs.md."""

from hale.paths import ROOT
from hale.standard import loader
from tests.faults import cluster, hosts, kernel, limits, security, services, swap
from tests.faults.fault import Fault, Recorded
from tests.faults.recorded import RECORDED

FAULTS: tuple[Fault, ...] = (
    *cluster.FAULTS,
    *hosts.FAULTS,
    *security.FAULTS,
    *swap.FAULTS,
    *kernel.FAULTS,
    *limits.FAULTS,
    *services.FAULTS,
)

EVERY: tuple[Fault | Recorded, ...] = (*FAULTS, *RECORDED)


def typed_too() -> set[str]:
    """Names of faults that the real command audits as well: one of every check."""
    subjects = {r.id: r.subject for r in loader.load_standard(ROOT / "standard").requirements}
    found: dict[tuple[str, str], str] = {}
    for fault in EVERY:
        checks = [(subjects.get(row.requirement, ""), row.aspect) for row in fault.rows]
        if any(check not in found for check in checks):
            found |= {check: fault.name for check in checks if check not in found}
    return set(found.values())


def turned() -> dict[tuple[str, str], list[Fault | Recorded]]:
    """For each (requirement, aspect) the faults that turn it red."""
    found: dict[tuple[str, str], list[Fault | Recorded]] = {}
    for fault in EVERY:
        for row in fault.rows:
            found.setdefault((row.requirement, row.aspect), []).append(fault)
    return found
