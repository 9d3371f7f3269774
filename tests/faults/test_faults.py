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
from tests.faults import audit, recorded
from tests.faults.batches import Batch, Batched, batches, selected
from tests.faults.conftest import Compliant
from tests.faults.fault_context import injected
from tests.faults.recorded import RECORDED
from tests.faults.table import FAULTS, typed_too

pytestmark = pytest.mark.lab
TYPED = typed_too()
# Of evidence with a whole etcd.
NOT_GREEN = set(baseline.NOT_GREEN) - {RowKey("cluster", "HA-ETCD-MEMBERS", "runtime")}


@pytest.fixture
def complete(compliant: Compliant) -> Iterator[None]:
    """Whatever a failed test leaves behind, the next one finds compliant hosts."""
    yield
    if not compliant.complete:
        compliant.mend()


@pytest.fixture(scope="module")
def batched(request: pytest.FixtureRequest) -> Batched:
    """The faults of the tests that are selected, in batches."""
    return Batched(batches(selected(request), lambda fault: fault.name in TYPED))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: slug(f.name))
@pytest.mark.usefixtures("complete")
def test_fault(fault: HostFault, compliant: Compliant, batched: Batched) -> None:
    """Of a batch (batches.py) the first test proves all faults. Where anything in it is wrong, that
    test fails, and each of them is proven by itself in its own test and second try.
    """
    if batched.is_proven(fault):
        return
    batch = batched.take(fault)
    compliant.complete = False
    wrong = wrong_with(batch, compliant)
    assert not wrong, f"with {[one.name for one in batch]}:\n" + "\n".join(wrong)
    # The way back is a part of the proof: the next fault must not be red because of this one.
    remaining = not_undone(batch, compliant)
    assert not remaining, f"the undo of {[one.name for one in batch]} left\n" + "\n".join(remaining)
    compliant.complete = True
    batched.proven(batch)


def wrong_with(batch: Batch, compliant: Compliant) -> list[str]:
    """What is not as the table says while these faults are in their hosts."""
    hosts = [fault.host for fault in batch]
    turns = {row: turn for fault in batch for row, turn in fault.rows.items()}
    typed = None
    with injected(compliant.lab, *batch):
        after = audit.answered(
            lambda: compliant.engine.audit(reconnect=hosts), compliant.before, turns
        )
        if any(fault.name in TYPED for fault in batch):
            typed = audit.answered(lambda: audit.rows(compliant.typed()), compliant.before, turns)
    wrong = audit.trouble(compliant.before, after, turns, *hosts)
    if typed is not None:
        wrong += audit.trouble(compliant.before, typed, turns, *hosts)
        wrong += [
            f"{row}: typed {typed.get(row)}, the engine {result}"
            for row, result in after.items()
            if typed.get(row, result).verdict != result.verdict
        ]
    return wrong


def not_undone(batch: Batch, compliant: Compliant) -> list[str]:
    """What is not as before these faults; of all hosts where one of them turns rows of others."""
    hosts = [fault.host for fault in batch]
    before: audit.Rows = compliant.before
    audited = "all"
    if all(row.host in hosts for fault in batch for row in fault.rows):
        before, audited = audit.of_host(before, *hosts), ",".join(hosts)
    back = audit.answered(lambda: compliant.engine.audit(audited, hosts), compliant.before, {})
    return audit.trouble(
        before, back if audited == "all" else audit.of_host(back, *hosts), {}, *hosts
    )


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
