"""A port that one host refuses another stops an install before it changes anything."""

from pathlib import Path

import pytest

from hale.install import workflow
from hale.install.options import InstallOptions
from hale.install.phase_selection import GATE
from lab.faults.table import FAULTS
from tests.faults.conftest import Compliant
from tests.faults.fault_context import injected

pytestmark = pytest.mark.lab
PORTS_DROPPED = "a firewall in front of a master drops etcd's ports for one other"
ASKED = "kubernetes_version=1.34.4\npod_cidr=10.244.0.0/16\nnetwork_manifest=network.yaml\n"
FIREWALLD = "firewalld enabled and running, as Debian leaves it"


def gate(
    compliant: Compliant, fault: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """What `invoke install --until gate` prints on hosts with this fault; it must refuse them."""
    (found,) = (f for f in FAULTS if f.name == fault)
    reports.joinpath("network.yaml").write_text("# the pod network's\n")
    inventory = reports / "inventory.ini"
    text = compliant.inventory.read_text()
    assert text.count("[k8s:vars]\n") == 1
    inventory.write_text(text.replace("[k8s:vars]\n", f"[k8s:vars]\n{ASKED}"))
    options = InstallOptions(reports=reports, inventory=inventory, until=GATE)
    compliant.complete = False
    with injected(compliant.lab, found):
        allowed = workflow.install_cluster(options)
    compliant.complete = True
    printed = capsys.readouterr().out
    assert not allowed, printed
    assert "Nothing was changed" in printed
    return printed


def test_a_port_that_is_dropped_between_two_hosts_stops_an_install(
    compliant: Compliant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = gate(compliant, PORTS_DROPPED, tmp_path, capsys)
    assert (
        "✗ NET-REACH runtime on cluster: FAIL: TCP port 2379 and 2380 of k8s-master-02 gives no "
        "answer to k8s-master-01:" in printed
    )
    assert "there is no remedy for these" in printed
    assert "judged again" not in printed


def test_what_a_remedy_may_open_is_judged_again_after_it(
    compliant: Compliant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """firewalld is stopped by --fix; until then the ports that it drops block nothing."""
    printed = gate(compliant, FIREWALLD, tmp_path, capsys)
    assert "✗ FW-FIREWALLD runtime on k8s-node-02: FAIL: firewalld runs as process" in printed
    again = (
        "… judged again after these: NET-REACH runtime on cluster: FAIL: TCP port 10250 of k8s-n"
    )
    assert again in printed
    assert "there is no remedy for these" not in printed
