"""All faults, in the order of docs/proofs.md."""

from hale.paths import ROOT
from hale.standard import loader
from lab.faults import table
from lab.faults.fault import HostFault, RecordedFault
from tests.faults.recorded import RECORDED
from tests.faults.spread import spread

FAULTS = tuple(map(spread, table.FAULTS))
EVERY: tuple[HostFault | RecordedFault, ...] = (*FAULTS, *RECORDED)


def typed_too() -> set[str]:
    """Names of faults that the real command audits as well: one of every check."""
    subjects = {r.id: r.subject for r in loader.load_standard(ROOT / "standard").requirements}
    found: dict[tuple[str, str], str] = {}
    for fault in EVERY:
        checks = [(subjects.get(row.requirement, ""), row.aspect) for row in fault.rows]
        if any(check not in found for check in checks):
            found |= {check: fault.name for check in checks if check not in found}
    return set(found.values())


def turned() -> dict[tuple[str, str], list[HostFault | RecordedFault]]:
    """For each (requirement, aspect) the faults that turn it red."""
    found: dict[tuple[str, str], list[HostFault | RecordedFault]] = {}
    for fault in EVERY:
        for row in fault.rows:
            found.setdefault((row.requirement, row.aspect), []).append(fault)
    return found
