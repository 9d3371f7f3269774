"""On a cluster that Hale did not build: DNS on one node keeps every master from being changed."""

from collections.abc import Iterator

import pytest

from lab import stranger as built
from tests.stranger.stranger_fixture import Stranger

MASTER = "k8s-master-01"
SYSCTL = "/etc/sysctl.d/zz-site.conf"
FIX = ("fix", "--only=SYS-IP-FORWARD", f"--hosts={MASTER}", "--apply", "--yes")


def _scale(stranger: Stranger, replicas: int) -> None:
    stranger.kubectl(f"-n kube-system scale deployment site-dns --replicas={replicas}")
    stranger.kubectl("-n kube-system rollout status deployment site-dns --timeout=300s")


@pytest.fixture
def one_dns(stranger: Stranger) -> Iterator[Stranger]:
    """One replica of the site's DNS, and a line on a master that the next boot would follow."""
    try:
        stranger.lab[MASTER].run(f"echo net.ipv4.ip_forward=0 >{SYSCTL}")
        _scale(stranger, 1)
        yield stranger
    finally:
        stranger.lab[MASTER].run(f"rm -f {SYSCTL}")
        _scale(stranger, 2)
        built.settle(stranger.lab)


@pytest.mark.soak("three minutes")
def test_dns_on_one_node_closes_the_gate_of_masters(one_dns: Stranger) -> None:
    """It is read from workers too, and judged by what the masters answer."""
    content = f"cat {SYSCTL}"
    done = one_dns.invoke(*FIX)
    output = done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode == 1, output
    end = one_dns.histories()[-1].hosts[MASTER]
    assert end.state == "refused", output
    assert "CMP-COREDNS on cluster: FAIL" in end.reason
    assert one_dns.lab[MASTER].run(content).stdout == b"net.ipv4.ip_forward=0\n"

    _scale(one_dns, 2)
    done = one_dns.invoke(*FIX)
    output = done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode == 0, output
    assert one_dns.histories()[-1].hosts[MASTER].state == "done", output
    assert b"# commented by Hale" in one_dns.lab[MASTER].run(content).stdout
