"""On compliant hosts of the lab: a drill's client counts, and ends with its connection.

In a file of its own: `known` replaces all hosts, those of test_on_lab.py too.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.drill import http_client, measurement
from hale.drill.sampler import FOLDER, RemoteSampler, SamplerStopped
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.polling import wait_until
from hale.ssh.inventory_targets import LoginOptions, targets_of
from lab.faults import baseline
from lab.machine import Lab

pytestmark = pytest.mark.lab
MASTER, WORKER = "k8s-master-01", "k8s-node-01"


@pytest.fixture(scope="module")
def known(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    """Hosts that have a CA, and somebody who answers on the VIP with its certificate."""
    path: Path = tmp_path_factory.mktemp("drill") / "inventory.ini"
    baseline.fresh(lab)
    baseline.make(lab, path)
    known = ini.load_inventory(path)
    yield known
    baseline.fresh(lab)


def client(known: Inventory) -> RemoteSampler:
    return RemoteSampler(
        targets_of(known, LoginOptions(connect_timeout=60))[WORKER],
        "client",
        http_client.client_script(http_client.apiserver(known.endpoint)),
    )


def follow(loop: RemoteSampler, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        loop.read()
        time.sleep(0.1)


def leftovers(lab: Lab) -> list[bytes]:
    """What there is of the client on its host: processes, and files."""
    output = lab[WORKER].run(f"pgrep -fa readyz; ls {FOLDER}", check=False).stdout
    return [line for line in output.splitlines() if b"pgrep" not in line]


def test_the_client_sends_a_request_every_50_ms_and_measures_downtime(
    lab: Lab, known: Inventory
) -> None:
    loop = client(known)
    began = time.monotonic()
    loop.start()
    try:
        follow(loop, 2)
        zero = time.monotonic()
        lab[MASTER].run("ip address del 10.208.1.190/32 dev eth0")  # asks hang, and overlap
        gone = time.monotonic()
        follow(loop, 2)
        returns = time.monotonic()
        lab[MASTER].run("systemctl restart stand-in")
        back = time.monotonic()
        follow(loop, 3)
        end = time.monotonic()
    finally:
        loop.stop()
    log = http_client.parse_log(loop.record).since(zero + loop.clock.offset)
    assert measurement.invalid_because(log) == ""
    # 20 a second, on a busy machine fewer; one after the other they would be 1 while they hang.
    # Those of the last 2 s have not all been written.
    since = [a for a in log.requests if a.started < end - zero - 2.5]
    assert 10 * (end - began - 2.5) < len(since) < 25 * (end - began - 2.5)
    hanging = [a for a in since if gone - zero < a.started < returns - zero]
    assert len(hanging) > 8 * (returns - gone)
    longest = max(measurement.client_downtimes(log, end - zero), key=lambda gap: gap.seconds)
    assert -0.7 < longest.started < gone - zero + 0.7
    # The restarted server listens a while after systemctl has returned.
    assert returns - zero - 1.0 < longest.ended < back - zero + 2.5
    assert longest.failed_requests >= 10
    assert any("curl 28" in output for output in http_client.failure_counts(log.requests))
    assert leftovers(lab) == []


def test_a_client_ends_with_its_connection(lab: Lab, known: Inventory) -> None:
    loop = client(known)
    loop.start()
    follow(loop, 0.5)
    assert any(b"readyz" in line for line in leftovers(lab))
    loop._session.close()  # as if the operator's process had been killed
    left = wait_until(lambda: [line for line in leftovers(lab) if b"readyz" in line], 240.0, 0.1)
    assert not left


def test_a_client_without_a_ca_reports_it(lab: Lab, known: Inventory) -> None:
    lab[WORKER].run("mv /etc/kubernetes/pki/ca.crt /root/")
    loop = client(known)
    try:
        loop.start()
        with pytest.raises(SamplerStopped, match="has joined no cluster"):
            follow(loop, 2)
    finally:
        lab[WORKER].run("mv /root/ca.crt /etc/kubernetes/pki/")
        loop.stop()
