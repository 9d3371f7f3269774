"""Without a fault every row is green, save those that a lab without a cluster cannot have.

Row by row, so that no red is ever got used to.
"""

from datetime import datetime

import pytest

from hale.model.results import Result, Results
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


# Nothing is to be written for these, so there is no line that an earlier boot could have had.
NOTHING_WRITTEN = {"SWAP-OFF", "SEC-SELINUX", "FW-UFW", "FW-NFTABLES", "FW-IPTABLES"}
# Another folder in place of this one: its files keep their times, as with a clock set back.
FOLDER, OTHER, ASIDE = "/etc/sysctl.d", "/etc/sysctl.other", "/etc/sysctl.aside"


def test_a_power_cut_leaves_it_compliant_and_proves_what_is_persisted(
    compliant: Compliant,
) -> None:
    """What an audit before the boot has read as well; not what was put there after the boot, though
    it is older than the boot by the times of its files.
    """
    host = compliant.lab["k8s-node-02"]  # its firewalld is masked by a line
    host.run(f"cp -a {FOLDER} {OTHER}")
    compliant.typed()
    compliant.engine.close()
    host.power_cycle()
    settled(compliant.engine)
    compliant.engine.close()
    found = compliant.typed()
    assert not audit.trouble(compliant.before, audit.rows(found), {}, host.name)
    before = proven(found, host.name)
    assert before
    unproven = {r.requirement for r in passing(found, host.name) if not r.reboot_proven}
    assert unproven == NOTHING_WRITTEN
    host.run(f"mv {FOLDER} {ASIDE} && mv {OTHER} {FOLDER}")
    try:
        found = compliant.typed()
    finally:
        host.run(f"mv {FOLDER} {OTHER}; mv {ASIDE} {FOLDER}; rm -rf {OTHER}")
    others = {
        row.requirement: [s.changed for s in row.settings if s.wins]
        for row in passing(found, host.name)
        if any(s.wins and s.path.startswith(f"{FOLDER}/") for s in row.settings)
    }
    assert others
    (booted,) = (h.booted_at for h in found.hosts if h.name == host.name)
    assert max(max(times) for times in others.values()) < datetime.fromisoformat(booted).timestamp()
    assert proven(found, host.name) == before - {*others}


def passing(found: Results, host: str) -> list[Result]:
    """The rows of the host that pass after its next boot."""
    rows = [r for r in found.results if r.host == host and r.aspect == "persisted"]
    return [r for r in rows if r.verdict is Verdict.PASS]


def proven(found: Results, host: str) -> set[str]:
    """The requirements that a boot of the host has proven."""
    return {r.requirement for r in passing(found, host) if r.reboot_proven}
