"""Which faults are proven side by side, and on which hosts."""

from collections import Counter
from dataclasses import replace

from lab.faults import table
from lab.faults.baseline import VIP_HOLDER
from lab.faults.fault import HostFault, fail
from lab.topology import HOSTS
from tests.faults.batches import Batched, batches, is_own
from tests.faults.spread import CROWDED, HOSTS_OF_FAULTS, SHARES, spread
from tests.faults.table import FAULTS

OWN = HostFault("own", "k8s-node-01", "true", {"SWAP-OFF persisted": fail("no")})
OTHER = replace(OWN, name="other", host="k8s-node-02")
OF_CLUSTER = replace(OTHER, name="wide", turns={"NET-REACH runtime @cluster": fail("no")})


def test_each_fault_is_in_one_batch() -> None:
    assert Counter(fault.name for batch in batches(FAULTS) for fault in batch) == Counter(
        fault.name for fault in table.FAULTS
    )


def test_what_is_side_by_side_can_be_told_apart() -> None:
    for batch in batches(FAULTS):
        hosts = [fault.host for fault in batch]
        assert len(set(hosts)) == len(hosts)
        if len(batch) > 1:
            assert VIP_HOLDER not in hosts
            assert {row.host for fault in batch for row in fault.rows} <= {*hosts}
            assert not any(fault.alone for fault in batch)


def test_a_fault_that_others_feel_is_by_itself() -> None:
    assert batches([OWN, OTHER]) == [(OWN, OTHER)]
    for wide in (OF_CLUSTER, replace(OTHER, alone=True), replace(OTHER, host=VIP_HOLDER)):
        assert batches([OWN, wide]) == [(OWN,), (wide,)]


def test_what_costs_more_is_together() -> None:
    boot = replace(OTHER, name="boot", reboot=True)
    assert batches([OWN, OTHER, replace(OWN, name="boots", reboot=True), boot]) == [
        (replace(OWN, name="boots", reboot=True), boot),
        (OWN, OTHER),
    ]
    assert batches([replace(OWN, name="plain"), OWN], lambda fault: fault is OWN)[0] == (OWN,)


def test_after_a_failure_each_is_proven_by_itself() -> None:
    batched = Batched(batches([OWN, OTHER]))
    assert batched.take(OTHER) == (OWN, OTHER)
    assert not batched.is_proven(OWN)
    assert batched.take(OTHER) == (OTHER,)
    assert batched.take(OWN) == (OWN,)
    batched.proven((OTHER,))
    assert batched.is_proven(OTHER)
    assert not batched.is_proven(OWN)


def test_a_fault_that_names_its_host_stays_there() -> None:
    names = [f"fault {n}" for n in range(100)]
    assert {spread(replace(OWN, name=name)).host for name in names} == {
        host.name for host in HOSTS_OF_FAULTS
    }
    for fault in (
        replace(OWN, inject=f"hostname {CROWDED.name}"),
        replace(OWN, undo=f"ip address add {CROWDED.address}/24 dev eth0"),
        replace(OWN, turns={"SWAP-OFF persisted": fail(f"on {CROWDED.name}")}),
        replace(OWN, files=("/etc/kubernetes/pki",)),
        replace(OWN, turns={"DISK-KUBELET runtime": fail("masters have DISK-ETCD too")}),
        replace(OWN, turns={"NODE-PORTS-WORKER runtime": fail("no")}),
        replace(OWN, turns=OF_CLUSTER.turns),
        replace(OWN, alone=True),
    ):
        assert {spread(replace(fault, name=name)).host for name in names} == {CROWDED.name}


def test_few_batches_have_all_faults() -> None:
    """At most a tenth more than with the same number of faults on each host."""
    own = [fault for fault in FAULTS if is_own(fault)]
    fewest = len(own) / len(SHARES) + len(FAULTS) - len(own)
    assert len(batches(FAULTS)) < 1.1 * fewest


def test_the_vips_holder_gets_none() -> None:
    assert {host.name for host in HOSTS} - set(SHARES) == {VIP_HOLDER}
