"""Without a fault every row is green, save those that a lab without a cluster cannot have.

Row by row, so that no red is ever got used to.
"""

import pytest

from hale.model.results import RowKey
from hale.model.verdict import Verdict
from tests.faults import audit
from tests.faults.conftest import Compliant, settled

pytestmark = pytest.mark.lab


def test_every_row_is_green(compliant: Compliant) -> None:
    rows = audit.rows(compliant.typed())
    assert rows
    wrong = audit.not_compliant(rows)
    assert not wrong, "\n".join(wrong)


def test_the_engine_and_what_is_typed_come_to_the_same(compliant: Compliant) -> None:
    typed = audit.rows(compliant.typed())
    assert not audit.trouble(typed, compliant.before, {}, "cluster")


# Nothing is to be written for these, so there is no line that could be older than the boot.
NOTHING_WRITTEN = {"SWAP-OFF", "SEC-SELINUX", "FW-UFW", "FW-NFTABLES", "FW-IPTABLES"}


def test_a_power_cut_leaves_it_compliant_and_proves_what_is_persisted(
    compliant: Compliant,
) -> None:
    host = compliant.lab["k8s-node-02"]  # its firewalld is masked by a line
    compliant.engine.close()
    host.power_cycle()
    settled(compliant.engine)
    compliant.engine.close()
    found = compliant.typed()
    assert not audit.trouble(compliant.before, audit.rows(found), {}, host.name)
    mine = [r for r in found.results if r.host == host.name and r.aspect == "persisted"]
    proven = {RowKey(r.host, r.requirement, r.aspect) for r in mine if r.reboot_proven}
    unproven = {r.requirement for r in mine if r.verdict is Verdict.PASS and not r.reboot_proven}
    assert proven
    assert unproven == NOTHING_WRITTEN
