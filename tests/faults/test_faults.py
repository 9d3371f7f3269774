"""Every fault of the table: exactly its rows turn, for its reason, and no other row of any host.

The table is audited by the engine; one fault of every check also by `pytest` as it is
typed, and both must come to the same rows.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.audit import evidence_file
from hale.audit.evidence_file import EvidenceFile
from hale.model.results import RowKey
from hale.polling import wait_until
from lab.faults import baseline
from lab.faults.fault import HostFault, RecordedFault, slug
from lab.faults.table import FAULTS
from tests.faults import audit, recorded
from tests.faults.conftest import Compliant
from tests.faults.fault_context import injected
from tests.faults.recorded import RECORDED
from tests.faults.table import typed_too

pytestmark = pytest.mark.lab
TYPED = typed_too()
# Of evidence with a whole etcd.
NOT_GREEN = set(baseline.NOT_GREEN) - {RowKey("cluster", "HA-ETCD-MEMBERS", "runtime")}


@pytest.fixture
def whole(compliant: Compliant) -> Iterator[None]:
    """Whatever a failed test leaves behind, the next one finds compliant hosts."""
    yield
    if not compliant.whole:
        compliant.mend()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: slug(f.name))
@pytest.mark.usefixtures("whole")
def test_fault(fault: HostFault, compliant: Compliant) -> None:
    compliant.whole = False
    with injected(compliant.lab, fault):
        after = audit.answered(
            lambda: compliant.engine.audit(anew=[fault.host]), compliant.before, fault.rows
        )
        typed = None
        if fault.name in TYPED:
            typed = audit.answered(
                lambda: audit.rows(compliant.typed()), compliant.before, fault.rows
            )
    wrong = audit.trouble(compliant.before, after, fault.rows, fault.host)
    if typed is not None:
        wrong += audit.trouble(compliant.before, typed, fault.rows, fault.host)
        wrong += [
            f"{row}: typed {typed.get(row)}, the engine {result}"
            for row, result in after.items()
            if typed.get(row, result).verdict != result.verdict
        ]
    assert not wrong, "\n".join(wrong)
    # The way back is a part of the proof: the next fault must not be red because of this one.
    if all(row.host == fault.host for row in fault.rows):
        before = audit.of_host(compliant.before, fault.host)
        back = audit.of_host(
            audit.answered(
                lambda: compliant.engine.audit(fault.host, [fault.host]), compliant.before, {}
            ),
            fault.host,
        )
    else:
        before = dict(compliant.before)
        back = audit.answered(
            lambda: compliant.engine.audit(anew=[fault.host]), compliant.before, {}
        )
    remaining = audit.trouble(before, back, {}, fault.host)
    assert not remaining, "the undo left\n" + "\n".join(remaining)
    compliant.whole = True


def not_passed(rows: audit.Rows) -> set[RowKey]:
    return {row for row, result in rows.items() if result.verdict != "PASS"}


@pytest.fixture(scope="module")
def saved(compliant: Compliant) -> EvidenceFile:
    """A run's evidence, with the answers of a whole etcd, once no host is late with one."""
    found: list[EvidenceFile] = []

    def unsettled() -> bool:
        found[:] = [recorded.healthy(compliant.engine.evidence())]
        return not_passed(compliant.engine.judge(found[0])) != NOT_GREEN

    wait_until(unsettled, 120.0, 2.0)
    return found[0]


@pytest.fixture(scope="module")
def before(compliant: Compliant, saved: EvidenceFile) -> audit.Rows:
    """The rows of that evidence: all green, etcd's too, but for what no host has."""
    rows = compliant.engine.judge(saved)
    assert not_passed(rows) == NOT_GREEN, {r: rows.get(r) for r in not_passed(rows) ^ NOT_GREEN}
    return rows


@pytest.mark.parametrize("fault", RECORDED, ids=lambda f: slug(f.name))
def test_recorded(
    fault: RecordedFault,
    compliant: Compliant,
    saved: EvidenceFile,
    before: audit.Rows,
    tmp_path: Path,
) -> None:
    changed = recorded.changed(saved, fault)
    path = compliant.inventory
    if fault.inventory:
        old, new = fault.inventory
        text = path.read_text()
        assert text.count(old) == 1
        path = tmp_path / "inventory.ini"
        path.write_text(text.replace(old, new))
    after = audit.Engine(path).judge(changed)
    wrong = audit.trouble(before, after, fault.rows, fault.host)
    if fault.name in TYPED:
        evidence_file.save_evidence(changed, tmp_path / "evidence.json")
        again = f"--evidence={tmp_path / 'evidence.json'}"
        typed = audit.rows(audit.typed(compliant.reports, f"--inventory={path}", again))
        assert typed == after
    assert not wrong, "\n".join(wrong)
